"""Signing in on the page, and one's own tokens."""

from accounts.models import ApiToken


def test_signing_in_leads_to_where_one_wanted_to_go(client, owner):
    answer = client.post("/login", {"username": "alice", "password": "correct horse battery", "next": "/queue"})
    assert answer.url == "/queue"
    assert client.get("/queue").status_code == 200
    assert client.get("/login").url == "/"


def test_a_wrong_password_is_said_and_the_name_kept(client, owner):
    answer = client.post("/login", {"username": "alice", "password": "wrong"})
    html = answer.content.decode()
    assert answer.status_code == 401
    assert "don&#x27;t match" in html and 'value="alice"' in html


def test_guessing_is_slowed_down(client, owner):
    for _ in range(10):
        answer = client.post("/login", {"username": "alice", "password": "wrong"})
    assert answer.status_code == 429
    assert "Wait" in answer.content.decode()


def test_sign_in_leads_nowhere_else(client, owner):
    for target in ("https://evil.test/", "//evil.test", "javascript:alert(1)", "/\x00"):
        client.logout()
        answer = client.post("/login", {"username": "alice", "password": "correct horse battery", "next": target})
        assert answer.url == "/"


def test_the_session_changes_at_sign_in_and_ends_at_sign_out(client, owner):
    client.get("/login")
    before = client.cookies.get("sessionid_8000")
    client.post("/login", {"username": "alice", "password": "correct horse battery"})
    assert client.get("/").status_code == 200
    assert before is None or client.cookies["sessionid_8000"].value != before.value
    assert client.get("/logout").status_code == 405
    client.post("/logout")
    assert client.get("/").status_code == 302


def test_a_token_is_shown_once_and_works(page, client):
    answer = page.post("/settings/tokens", {"name": "Nightly", "days": "30"})
    html = answer.content.decode()
    start = html.index("th_")
    key = html[start : html.index("<", start)]
    assert client.get("/api/v1/datasets", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert key not in page.get("/settings").content.decode()
    assert ApiToken.objects.get().expires_at is not None


def test_a_token_without_a_name_is_explained(page):
    answer = page.post("/settings/tokens", {"name": "  ", "days": "90"})
    assert answer.status_code == 400 and "needs a name" in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_revoking_asks_first_then_the_key_is_gone(page, world):
    address = f"/settings/tokens/{world.token.pk}/revoke"
    assert "can&#x27;t be brought back" in page.get(address).content.decode()
    assert ApiToken.objects.exists()
    page.post(address)
    assert not ApiToken.objects.exists()


NEW = "a quite different phrase"


def test_a_new_password_ends_other_sessions_and_tokens_but_not_this_one(client, owner):
    from django.test import Client

    from accounts import tokens

    _, key = tokens.create(owner, "nightly")
    elsewhere = Client()
    for browser in (client, elsewhere):
        browser.post("/login", {"username": "alice", "password": "correct horse battery"})
    answer = client.post("/settings/password", {"present": "correct horse battery", "new": NEW}, follow=True)
    assert "Your password is changed" in answer.content.decode()
    assert client.get("/settings").status_code == 200
    assert elsewhere.get("/settings").status_code == 302
    assert tokens.authenticate(key) is None
    assert client.login(username="alice", password=NEW)


def test_a_weak_or_unproven_new_password_is_refused_with_the_reason(client, owner):
    client.force_login(owner)
    wrong = client.post("/settings/password", {"present": "guess", "new": NEW})
    assert (wrong.status_code, "not your present password" in wrong.content.decode()) == (400, True)
    weak = client.post("/settings/password", {"present": "correct horse battery", "new": "password"})
    assert (weak.status_code, "too short" in weak.content.decode()) == (400, True)
    owner.refresh_from_db()
    assert owner.check_password("correct horse battery")


def test_guessing_the_present_password_is_slowed_down(client, owner):
    client.force_login(owner)
    answers = [client.post("/settings/password", {"present": "guess", "new": NEW}).status_code for _ in range(10)]
    assert answers[-1] == 429
