"""Who is in use, promotions and policies on their pages, for owners, approvers, managers and strangers."""

import pytest

from registry.models import AliasChange, ModelVersion, PromotionPolicy, PromotionRequest
from registry.promotion import aliases, verbs
from tests.pages.conftest import HTMX
from tests.registry.promotion.cast import approver, classifier, manager, settle


@pytest.fixture
def one(owner):
    version = classifier(owner, 0.9)
    verbs.promote(version, owner)
    return version


@pytest.fixture
def two(one, owner):
    return classifier(owner, 0.92)


def html(answer, status=200):
    assert answer.status_code == status
    return answer.content.decode()


def as_(client, user):
    client.force_login(user)
    return client


def test_the_model_page_says_who_is_the_champion_and_what_can_be_done(page, one, two):
    shown = html(page.get(f"/models/{one.model_id}"))
    assert ">Champion</span>" in shown and 'data-testid="champion"' in shown
    assert "No version is about to take its place" in shown and "whoever may promote decides" in shown
    assert 'data-testid="promote"' in shown and 'data-testid="roll-back"' not in shown
    assert page.get(f"/models/{one.model_id}/promote?version={two.pk}").url == f"/versions/{two.pk}/promote"
    assert page.get(f"/models/{one.model_id}/promote?version=x").status_code == 404


def test_a_version_is_promoted_and_rolled_back_with_plain_forms(page, one, two):
    shown = html(page.get(f"/versions/{two.pk}/promote"))
    assert 'data-testid="promote-now"' in shown and "Fulfilled" in shown and "92.0 %" in shown and "90.0 %" in shown
    answer = page.post(f"/versions/{two.pk}/promote", {"reason": "Better."}, follow=True)
    assert "Sorter v2 is the champion now" in html(answer)
    again = html(page.post(f"/versions/{two.pk}/promote"), 409)
    assert "is the champion already" in again
    promoted = html(page.get(f"/versions/{two.pk}/promote"))
    assert "The champion <time" in promoted and "In place of" not in promoted
    asked = html(page.get(f"/models/{one.model_id}/rollback", headers=HTMX))
    assert "Roll Sorter back to v1?" in asked and f'name="leaving" value="{two.pk}"' in asked
    for _ in range(2):  # a double click
        answer = page.post(f"/models/{one.model_id}/rollback", {"leaving": two.pk}, follow=True)
    assert "v1 is the champion by now" in html(answer)
    assert aliases.champion(one.model) == one and AliasChange.objects.count() == 3


def test_what_fails_is_told_and_only_managers_can_override(page, client, one, two, owner):
    settle(one.model, margin=0.0)
    shown = html(page.get(f"/versions/{two.pk}/promote"))
    assert "Not fulfilled" in shown and "Nothing is known of the data" in shown
    assert 'data-testid="promote-now"' not in shown and 'data-testid="override"' not in shown
    assert "Release managers alone" in shown
    refused = html(page.post(f"/versions/{two.pk}/promote", {"override": "1", "reason": "x"}), 403)
    assert "may not promote against a policy" in refused
    marge = as_(client, manager())
    assert 'data-testid="override"' in html(marge.get(f"/versions/{two.pk}/promote"))
    needed = html(marge.post(f"/versions/{two.pk}/promote", {"override": "1", "reason": " "}), 400)
    assert 'id="reason-error"' in needed and "Say why" in needed
    marge.post(f"/versions/{two.pk}/promote", {"override": "1", "reason": "It is urgent."})
    assert aliases.champion(one.model) == two
    told = html(marge.get(f"/models/{one.model_id}/names"))
    assert "Promoted against its policy" in told and "It is urgent." in told and "Not fulfilled" in told


def test_a_promotion_waits_for_the_right_people_and_is_approved(page, client, one, two, owner):
    settle(one.model, approvals=1)
    shown = html(page.get(f"/versions/{two.pk}/promote"))
    assert "Ask for approval" in shown and "nobody who may" in shown
    bob = approver()
    assert "waits for approval" in html(page.post(f"/versions/{two.pk}/promote", {"reason": "Better."}, follow=True))
    request = PromotionRequest.objects.get()
    mine = html(page.get(f"/promotions/{request.pk}"))
    assert 'data-testid="approve"' not in mine and 'data-testid="withdraw"' in mine and "bob" in mine
    assert "yourself" in html(page.post(f"/promotions/{request.pk}/approve", follow=True))
    assert "Nothing waits for you" in html(page.get("/promotions"))
    assert 'data-testid="decision"' not in html(page.get("/")) and "nav-promotions" not in html(page.get("/"))
    theirs = as_(client, bob)
    dashboard = html(theirs.get("/"))
    assert "Sorter v2 as champion" in dashboard and f'href="/promotions/{request.pk}"' in dashboard
    assert dashboard.count('data-testid="nav-promotions">1<') == 2, "in the navigation and its menu"
    assert "1 for you" in html(theirs.get("/models")) and "Sorter v2" in html(theirs.get("/promotions"))
    assert 'data-testid="approve"' in html(theirs.get(f"/promotions/{request.pk}"))
    assert "Decide" in html(theirs.get(f"/models/{one.model_id}"))
    answer = theirs.post(f"/promotions/{request.pk}/approve", {"note": "Fine."}, follow=True)
    assert "Sorter v2 is the champion now" in html(answer) and "Fine." in html(answer)
    assert "1 for you" not in html(theirs.get("/models"))
    assert 'data-testid="decision"' not in html(theirs.get("/"))
    told = html(theirs.get(f"/models/{one.model_id}/names"))
    assert "approved by bob" in told and f"/promotions/{request.pk}" in told
    assert theirs.post(f"/promotions/{request.pk}/explode").status_code == 404


def test_the_page_says_whose_approval_counts_no_more(page, one, two, owner):
    settle(one.model, approvals=2)
    request = verbs.promote(two, owner)
    verbs.approve(request, approver())
    assert "It needs 1 more approval, of" in html(page.get(f"/promotions/{request.pk}"))
    approver().groups.clear()
    shown = html(page.get(f"/promotions/{request.pk}"))
    assert "It needs 2 more approvals, of" in shown and "bob may not approve promotions any longer" in shown
    assert "bob (does not count)" in html(page.get("/promotions?show=all"))


def test_a_refusal_and_a_withdrawal_say_so(page, client, one, two, owner):
    settle(one.model, approvals=1)
    request = verbs.promote(two, owner)
    assert "withdrawn" in html(page.post(f"/promotions/{request.pk}/withdraw", follow=True))
    request = verbs.promote(two, owner)
    answer = as_(client, approver()).post(f"/promotions/{request.pk}/reject", {"note": "Too early."}, follow=True)
    assert "is refused" in html(answer) and "Too early." in html(answer)


def test_the_policy_is_a_form_for_managers_and_words_for_others(page, client, one):
    settle(one.model, margin=0.01, approvals=2)
    shown = html(page.get(f"/models/{one.model_id}/policy"))
    assert "Approval by 2 people who may approve." in shown and 'data-testid="save-policy"' not in shown
    assert page.post(f"/models/{one.model_id}/policy", {"margin": "1"}).status_code == 403
    marge = as_(client, manager())
    address = f"/models/{one.model_id}/policy"
    wrong = {"margin": "-1", "minimum_examples": "many", "approvals": "9", "needs_test": "x", "metric": "train/loss"}
    refused = html(marge.post(address, wrong), 400)
    assert refused.count('class="field-error"') == 5 and 'value="many"' in refused
    good = {"margin": "0,02", "minimum_examples": "10", "approvals": "1", "needs_test": "shadow", "same_held_out": "1"}
    assert "The policy is saved" in html(marge.post(address, good, follow=True))
    rules = PromotionPolicy.objects.get()
    assert (rules.margin, rules.minimum_examples, rules.approvals, rules.needs_test) == (0.02, 10, 1, "shadow")


def test_a_name_is_taken_away_with_a_reason_where_a_policy_holds(page, client, one):
    settle(one.model, margin=0.0)
    address = f"/models/{one.model_id}/names/champion/remove"
    assert "required" in html(page.get(address))
    assert "against a policy" in html(page.post(address, {"reason": "x"}, follow=True))
    answer = as_(client, manager()).post(address, {"reason": "It lies."}, follow=True)
    assert "has no champion now" in html(answer) and aliases.champion(one.model) is None
    assert page.get(f"/models/{one.model_id}/names/best/remove").status_code == 404


def test_the_history_is_filtered_paged_and_exported(page, one, two, owner):
    verbs.challenge(two, owner, "=SUM(A1)")
    shown = html(page.get(f"/models/{one.model_id}/names?name=challenger", headers=HTMX))
    assert shown.count('data-testid="name-change"') == 1 and "<html" not in shown
    lines = b"".join(page.get(f"/models/{one.model_id}/names?export=csv").streaming_content).decode().splitlines()
    assert lines[0] == "at,name,kind,before,after,by,reason" and len(lines) == 3
    assert "'=SUM(A1)" in lines[1]


def test_the_version_page_says_its_names_and_what_its_checks_say(page, one, two):
    assert ">Champion</span>" in html(page.get(f"/versions/{one.pk}"))
    settle(one.model, margin=0.0)
    shown = html(page.get(f"/versions/{two.pk}"))
    assert (
        "It has no name" in shown
        and "Nothing is known of the data" in shown
        and 'data-testid="promote-version"' in shown
    )
    ModelVersion.objects.filter(pk=two.pk).update(archived_at=one.created_at)
    assert "can have none" in html(page.get(f"/versions/{two.pk}"))


def test_who_sees_and_may_not_gets_words_instead_of_buttons(client, one, two):
    bob = as_(client, approver())
    shown = html(bob.get(f"/models/{one.model_id}"))
    assert 'data-testid="promote"' not in shown and "Take the name away" not in shown
    assert "may not promote" in html(bob.get(f"/versions/{two.pk}/promote"))
    assert bob.post(f"/versions/{two.pk}/promote").status_code == 403
    assert "may not promote versions" in html(bob.post(f"/versions/{two.pk}/challenge", follow=True))


def test_lists_cost_the_same_for_few_and_for_many(page, owner, one, django_assert_max_num_queries):
    for accuracy in range(12):
        verbs.promote(classifier(owner, accuracy / 100), owner)
    page.get("/promotions")
    with django_assert_max_num_queries(14):
        page.get(f"/models/{one.model_id}/names")
    with django_assert_max_num_queries(24):
        page.get(f"/models/{one.model_id}")
