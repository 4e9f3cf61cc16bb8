"""Notes, tags and stars: kept, limited, and only the owner's to write."""

import pytest
from django.utils import timezone

from common.errors import InvalidInputError
from history import notes
from history.recording import record_reported
from tests.api.conftest import Api

HTMX = {"HX-Request": "true"}


@pytest.fixture
def session(owner):
    now = timezone.now()
    return record_reported(owner, {"name": "Fox", "started_at": now, "completed_at": now, "saved_count": 3})[0]


def test_tags_are_kept_once_and_clean(session):
    notes.change(session, tags=[" good ", "good", "a\x00b,c", "", "  "])
    session.refresh_from_db()
    assert session.tags == ["good", "ab c"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"note": "x" * 5001}, "note"), ({"tags": ["x" * 41]}, "tags"), ({"tags": [str(n) for n in range(21)]}, "tags")],
)
def test_what_is_too_long_is_refused_by_field(session, wrong, field):
    with pytest.raises(InvalidInputError) as error:
        notes.change(session, **wrong)
    assert list(error.value.fields) == [field]


def test_the_api_changes_what_is_given_and_leaves_the_rest(owner, session):
    alice, path = Api(owner), f"training-history/session/{session.session_id}"
    answer = alice.send("PATCH", path, {"note": "Worth it", "tags": ["good"]}).json()
    assert (answer["note"], answer["tags"], answer["starred"], answer["saved_count"]) == (
        "Worth it",
        ["good"],
        False,
        3,
    )
    assert alice.send("PATCH", path, {"starred": True}).json()["note"] == "Worth it"
    for wrong in (
        {"saved_count": 1},
        {"tags": "good"},
        {"note": "x" * 5001},
        {"starred": "perhaps"},
        {"tags": [1] * 30},
    ):
        assert alice.send("PATCH", path, wrong).status_code == 400, wrong


def test_a_stranger_writes_nothing_and_staff_may(session, stranger, administrator, client):
    path = f"training-history/session/{session.session_id}"
    assert Api(stranger).send("PATCH", path, {"starred": True}).status_code == 404
    client.force_login(stranger)
    assert client.post(f"/history/{session.pk}/star", {"starred": "1"}).status_code == 404
    assert client.post(f"/history/{session.pk}/note", {"note": "x"}).status_code == 404
    session.refresh_from_db()
    assert (session.starred, session.note) == (False, "")
    assert Api(administrator).send("PATCH", path, {"starred": True}).status_code == 200


def test_the_page_writes_with_and_without_script(session, owner, client):
    client.force_login(owner)
    answer = client.post(f"/history/{session.pk}/note", {"note": "a\r\nb", "tags": "one, two,"}, headers=HTMX)
    assert f'hx-target="#session-marks-{session.pk}"' in answer.content.decode()
    session.refresh_from_db()
    assert (session.note, session.tags) == ("a\nb", ["one", "two"])
    assert client.post(f"/history/{session.pk}/star", {"starred": "1"}).url == f"/history/{session.pk}"
    drawn = client.post(f"/history/{session.pk}/star", {"starred": "0"}, headers=HTMX).content.decode()
    assert 'aria-pressed="false"' in drawn
    assert client.post(f"/history/{session.pk}/note", {"tags": "x" * 41}).status_code == 302
    assert "at most 40 characters" in client.get(f"/history/{session.pk}").content.decode()
