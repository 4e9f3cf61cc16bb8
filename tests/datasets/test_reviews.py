"""Reviews: what votes lead to, who is asked, and how far people agree."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import connection

from common.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from datasets.creation import create_dataset
from datasets.gating import gates
from datasets.gating.switches import set_gates
from datasets.items import edits
from datasets.models import Item, ReviewVote
from datasets.reviewing import agreement, reviews
from tests.datasets.test_gates import fill


@pytest.fixture
def people(django_user_model):
    return [django_user_model.objects.create_user(f"reviewer-{n}", password="x") for n in range(3)]


@pytest.fixture
def reviewed(images, owner, people):
    """Four items that two people must approve."""
    fill(images, 4)
    for person in people:
        reviews.assign(images, owner, person)
    return set_gates(images, owner, approvals=2)


def state(item: Item) -> str:
    item.refresh_from_db()
    return item.review


def test_two_people_must_approve_and_the_same_person_counts_once(reviewed, people):
    item = reviewed.items.first()
    first, second, _ = people
    assert reviews.vote(item, first, "approved").review == "none"
    assert reviews.vote(item, first, "approved").review == "none", "the same person, again"
    assert not gates.trainable(reviewed).exists()
    assert reviews.vote(item, second, "approved").review == "approved"
    assert list(gates.trainable(reviewed)) == [item]
    assert item.votes.count() == 3 and item.votes.filter(withdrawn_at__isnull=True).count() == 2


def test_one_rejection_or_wish_for_a_change_decides_at_once_and_needs_a_reason(reviewed, people):
    one, other, *_ = reviewed.items.order_by("id")
    with pytest.raises(InvalidInputError) as caught:
        reviews.vote(one, people[0], "rejected", "  ")
    assert caught.value.fields["reason"] and not ReviewVote.objects.exists()
    assert reviews.vote(one, people[0], "rejected", "Blurred.").review == "rejected"
    reviews.vote(one, people[1], "approved")
    assert state(one) == "rejected", "another opinion does not take it back"
    assert reviews.vote(one, people[0], "approved").review == "approved", "but the one who said so can"
    assert reviews.vote(other, people[0], "change", "Wrong class.").review == "change"
    for wrong in ("none", "maybe", ""):
        with pytest.raises(InvalidInputError):
            reviews.vote(one, people[0], wrong)


def test_a_changed_item_begins_a_new_round(reviewed, owner, people):
    item = reviewed.items.first()
    reviews.vote(item, people[0], "change", "Wrong class.")
    edits.edit_items(reviewed, owner, [item.pk], field="label", value="cat")
    assert state(item) == "none" and item.review_round == 2
    assert item in reviews.waiting(reviewed, people[0]), "whoever voted is asked again"
    with pytest.raises(ConflictError, match="was changed while you looked"):
        reviews.vote(item, people[1], "approved", round=1)
    with pytest.raises(ConflictError, match="no vote here"):
        reviews.undo(reviewed, people[0])
    reviews.vote(item, people[1], "approved", round=2)
    assert reviews.vote(item, people[0], "approved", round=2).review == "approved"


def test_the_last_vote_is_taken_back(reviewed, people):
    item = reviewed.items.first()
    reviews.vote(item, people[0], "rejected", "Blurred.")
    assert reviews.undo(reviewed, people[0]).review == "none"
    assert item.votes.get().withdrawn_at is not None, "it stays on record"
    with pytest.raises(ConflictError, match="no vote here"):
        reviews.undo(reviewed, people[0])


def test_a_vote_on_an_item_that_was_changed_since_does_not_hold_up_earlier_ones(reviewed, owner, people):
    first, second = reviewed.items.order_by("pk")[:2]
    reviews.vote(first, people[0], "rejected", "Blurred.")
    reviews.vote(second, people[0], "approved")
    edits.edit_items(reviewed, owner, [second.pk], field="label", value="cat")
    assert reviews.undo(reviewed, people[0]).pk == first.pk
    assert state(first) == "none"


def test_shares_that_can_not_bring_the_approvals_are_told(images, owner, people):
    fill(images, 4)
    assert reviews.shortage(images) == ""
    set_gates(images, owner, approvals=2)
    assert "nobody reviews it but its owner" in reviews.shortage(images)
    for person in people[:2]:
        reviews.assign(images, owner, person, 50)
    assert "add up to 100 %" in reviews.shortage(images) and "200 %" in reviews.shortage(images)
    set_gates(images, owner, approvals=1)
    assert reviews.shortage(images) == ""
    set_gates(images, owner, approvals=2)
    reviews.assign(images, owner, people[0], 100)
    reviews.assign(images, owner, people[1], 100)
    assert reviews.shortage(images) == ""
    people[1].is_active = False
    people[1].save()
    assert "add up to 100 %" in reviews.shortage(images)


def test_datasets_with_work_come_first_counted_as_the_reviewer_finds_them(
    owner, people, administrator, django_assert_num_queries
):
    """However many datasets there are, and whatever share of them somebody has."""
    made = [create_dataset(owner, name=f"set {number}", modality="image")[0] for number in range(4)]
    for number, dataset in enumerate(made):
        fill(dataset, 40)
        set_gates(dataset, owner, approvals=1)
        for person, share in zip(people, (30, 30 + number, 100), strict=True):
            reviews.assign(dataset, owner, person, share)
    made[1].items.update(review="approved")
    reviews.vote(reviews.waiting(made[2], people[1])[0], people[1], "approved")
    made[3].items.filter(pk__in=list(made[3].items.values_list("pk", flat=True)[:20])).update(aside="by_hand")
    for person in (*people, owner, administrator):
        with django_assert_num_queries(2):
            found = list(reviews.with_work(person))
        assert {row.pk: row.waiting for row in found} == {
            dataset.pk: reviews.waiting_count(dataset, person) for dataset in made
        }
        assert [row.waiting > 0 for row in found] == sorted((row.waiting > 0 for row in found), reverse=True)
        assert found[-1].waiting == 0


def test_another_number_of_approvals_counts_the_votes_again(reviewed, owner, people):
    item = reviewed.items.first()
    reviews.vote(item, people[0], "approved")
    set_gates(reviewed, owner, approvals=1)
    assert state(item) == "approved"
    set_gates(reviewed, owner, approvals=2)
    assert state(item) == "none"


def test_who_may_review(reviewed, owner, people, stranger, administrator):
    item = reviewed.items.first()
    with pytest.raises(ForbiddenError):
        reviews.vote(item, stranger, "approved")
    with pytest.raises(NotFoundError):
        reviews.find(stranger, reviewed.pk)
    for person in (owner, administrator, people[0]):
        assert reviews.find(person, reviewed.pk) == reviewed
        reviews.vote(item, person, "approved")
    reviews.dismiss(reviewed, people[0].pk)
    with pytest.raises(ForbiddenError):
        reviews.vote(item, people[0], "approved")
    assert state(item) == "approved", "what they said stays"


def test_each_is_asked_for_what_they_have_not_seen(reviewed, people):
    first, second, third, fourth = reviewed.items.order_by("id")
    reviews.vote(first, people[0], "approved")
    Item.objects.filter(pk=fourth.pk).update(aside="duplicate")
    assert list(reviews.waiting(reviewed, people[0])) == [second, third]
    assert list(reviews.waiting(reviewed, people[1])) == [first, second, third]
    assert reviews.upcoming(reviewed, people[1], 2, after=second.pk) == [third, first], "then from the start"
    assert reviews.waiting_count(reviewed, people[0]) == 2


def test_shares_lie_side_by_side(images, owner, people):
    fill(images, 300)
    for person, share in zip(people, (50, 30, 20), strict=True):
        reviews.assign(images, owner, person, share)
    seen = Counter(pk for person in people for pk in reviews.assigned(images, person).values_list("pk", flat=True))
    assert set(seen.values()) == {1} and len(seen) == 300, "each item is somebody's, and nobody else's"
    before = set(reviews.assigned(images, people[0]))
    fill(images, 50)
    assert before <= set(reviews.assigned(images, people[0])), "new items change nobody's share"
    assert abs(len(before) - 150) < 30
    with pytest.raises(InvalidInputError):
        reviews.assign(images, owner, people[0], 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("said", "ends"), [(("approved", "approved"), {"approved"}), (("approved", "rejected"), {"rejected"})]
)
def test_votes_at_the_same_moment_end_in_one_legal_state(images, owner, django_user_model, said, ends):
    people = [django_user_model.objects.create_user(f"at-once-{n}", password="x") for n in range(2)]
    items = fill(images, 6)
    for person in people:
        reviews.assign(images, owner, person)
    set_gates(images, owner, approvals=2)
    start = threading.Barrier(2)
    failed = []

    def go(person, verdict) -> None:
        try:
            for item in items:
                start.wait(10)
                reviews.vote(item, person, verdict, "Said." if verdict != "approved" else "")
        except Exception as error:
            failed.append(error)
            start.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=pair) for pair in zip(people, said, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert set(images.items.values_list("review", flat=True)) == ends
    assert ReviewVote.objects.filter(withdrawn_at__isnull=True).count() == 12


def test_agreement_of_two(reviewed, people):
    assert agreement.agreement(reviewed).method == ""
    verdicts = [("approved", "approved"), ("approved", "rejected"), ("rejected", "rejected"), ("approved", "approved")]
    for item, said in zip(reviewed.items.order_by("id"), verdicts, strict=True):
        for person, verdict in zip(people, said, strict=False):
            reviews.vote(item, person, verdict, "Said.")
    found = agreement.agreement(reviewed)
    # By hand: equal 3/4; by chance 3/4 x 2/4 + 1/4 x 2/4 = 1/2; (3/4 - 1/2) / (1 - 1/2) = 1/2.
    assert (found.method, found.items, found.equal, found.kappa) == ("Cohen", 4, 0.75, 0.5)
    (pair,) = agreement.pairs(reviewed)
    assert (pair.first, pair.second, pair.items) == ("reviewer-0", "reviewer-1", 4)


def test_agreement_of_more(reviewed, people):
    verdicts = [("approved",) * 3, ("approved", "approved", "rejected"), ("rejected",) * 3]
    for item, said in zip(reviewed.items.order_by("id"), verdicts, strict=False):
        for person, verdict in zip(people, said, strict=True):
            reviews.vote(item, person, verdict, "Said.")
    found = agreement.agreement(reviewed)
    # By hand: pairs equal (1 + 1/3 + 1) / 3 = 7/9; by chance (5/9)^2 + (4/9)^2 = 41/81.
    assert (found.method, found.items, found.reviewers) == ("Fleiss", 3, 3)
    assert found.equal == pytest.approx(7 / 9) and found.kappa == pytest.approx((7 / 9 - 41 / 81) / (1 - 41 / 81))


def test_agreement_on_one_verdict_alone_has_no_kappa():
    assert agreement.cohen(Counter({("approved", "approved"): 5})) == (1.0, None)
    assert agreement.fleiss({}) == (None, None)
