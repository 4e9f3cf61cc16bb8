"""Reviews by people: what they said of items, and what follows for each item.

An item's state is derived from the votes of its present round: one rejection rejects it, one wish for a change asks for
it, and enough approvals by different people approve it. Votes are never deleted; another vote of the same person takes
the place of the earlier one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import (
    BigIntegerField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce, Now

from common.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from common.push import publish
from datasets.gating import governance
from datasets.models import Dataset, Item, Review, Reviewer, ReviewVote

VERDICTS = (Review.APPROVED, Review.CHANGE, Review.REJECTED)
MAX_REASON = 1000
COUNTED = 1000  # "how many wait for me" ends here
# A number that follows from an item's content; modulo 100 it is a place on a circle of a hundred parts.
_NUMBER = Func(
    F("sha256"), output_field=BigIntegerField(),
    template="('x' || substr(%(expressions)s, 1, 8))::bit(32)::bigint",
)  # fmt: skip


def forget(dataset: Dataset, ids: Iterable[int]) -> int:
    """Begin a new round for items that were changed: what was said of them was said of something else.

    Their votes stay on record. Items that nobody reviewed begin one too: a vote may be on its way that was given while
    looking at what they were. Returns how many items there were.
    """
    with transaction.atomic():
        changed = dataset.items.filter(pk__in=list(ids))
        count = changed.update(review=Review.NONE, review_round=F("review_round") + 1)
        if count:
            publish(f"dataset.{dataset.pk}")
    return count


def may_review(user: AbstractBaseUser, dataset: Dataset) -> bool:
    """Its owner, its reviewers, and administrators."""
    if dataset.owner_id == user.pk or getattr(user, "is_staff", False):
        return True
    return dataset.reviewers.filter(user_id=user.pk).exists()


def reviewable(user: AbstractBaseUser) -> QuerySet[Dataset]:
    """The datasets that this person may review: their own, and those given to them; all for administrators."""
    datasets = Dataset.objects.select_related("owner").defer("owner__password")
    if getattr(user, "is_staff", False):
        return datasets
    return datasets.filter(Q(owner=user.pk) | Exists(Reviewer.objects.filter(dataset=OuterRef("pk"), user=user.pk)))


def find(user: AbstractBaseUser, dataset_id: int) -> Dataset:
    """The dataset, if this person may review it; else NotFoundError."""
    found = reviewable(user).filter(pk=dataset_id).first() if dataset_id < 2**63 else None
    if found is None:
        raise NotFoundError(
            f"There is no dataset {dataset_id} for you to review.",
            "Check the address. It may have been deleted, or it was given to someone else.",
        )
    return found


def find_item(user: AbstractBaseUser, dataset_id: int, item_id: int) -> Item:
    """An item of a dataset that this person may review; else NotFoundError."""
    dataset = find(user, dataset_id)
    found = dataset.items.select_related("dataset").filter(pk=item_id).first() if item_id < 2**63 else None
    if found is None:
        raise NotFoundError(f"'{dataset.name}' has no item {item_id}.", "It was removed, or never was there.")
    return found


def vote(item: Item, by: AbstractBaseUser, verdict: str, reason: str = "", *, round: int | None = None) -> Item:
    """Say something of an item, and give it the state that follows. Another vote by the same person replaces theirs.

    `round`: the one that was looked at. ConflictError when the item was changed since; InvalidInputError for a
    rejection or a wish for a change without a reason.
    """
    reason = reason.strip()
    _check(verdict, reason)
    with transaction.atomic():
        governance.share_rules()  # nobody switches gates meanwhile
        row = _locked(item.pk)
        dataset = Dataset.objects.get(pk=row.dataset_id)
        if not may_review(by, dataset):
            raise ForbiddenError("You do not review this dataset.", "Ask its owner to make you a reviewer.")
        if round is not None and round != row.review_round:
            raise ConflictError(
                f"'{row.name}' was changed while you looked at it.", "Look at it again; a new round has begun."
            )
        _votes(row).filter(reviewer_id=by.pk).update(withdrawn_at=Now())
        ReviewVote.objects.create(
            dataset=dataset, item=row, reviewer_id=by.pk, verdict=verdict, reason=reason, round=row.review_round
        )
        return _decide(row, dataset)


def undo(dataset: Dataset, by: AbstractBaseUser) -> Item:
    """Take back this person's latest vote that counts. ConflictError when there is none to take back."""
    with transaction.atomic():
        governance.share_rules()
        # A vote on what an item was before it was changed counts no longer: there is nothing to take back.
        mine = dataset.votes.filter(reviewer_id=by.pk, withdrawn_at__isnull=True)
        latest = mine.filter(round=F("item__review_round")).order_by("-id").first()
        if latest is None:
            raise ConflictError("You have no vote here to take back.", "Vote on an item first.")
        row = _locked(latest.item_id)
        if latest.round != row.review_round:
            raise ConflictError(f"'{row.name}' was changed just now, so your vote no longer counts.", "Try again.")
        ReviewVote.objects.filter(pk=latest.pk, withdrawn_at__isnull=True).update(withdrawn_at=Now())
        return _decide(row, dataset)


def assigned(dataset: Dataset, user: AbstractBaseUser) -> QuerySet[Item]:
    """The items that this person is to look at: all, or the share that was given to them, without those set aside.

    Shares lie side by side on a circle of a hundred parts, so two reviewers with a half each see every item once.
    """
    return _dealt(dataset.items.filter(aside=""), _arcs(user, dataset))


def waiting(dataset: Dataset, user: AbstractBaseUser) -> QuerySet[Item]:
    """The items that wait for this person's vote, in their order."""
    return _unseen(assigned(dataset, user), user).order_by("id")


def upcoming(dataset: Dataset, user: AbstractBaseUser, count: int, after: int = 0) -> list[Item]:
    """The next items for this person: those behind `after`, then those before it."""
    items = waiting(dataset, user)
    found = list(items.filter(pk__gt=after)[:count])
    if after and len(found) < count:
        found += items.filter(pk__lt=after)[: count - len(found)]
    return found


def waiting_count(dataset: Dataset, user: AbstractBaseUser) -> int:
    """How many items wait for this person; the count ends at COUNTED."""
    return waiting(dataset, user).order_by()[:COUNTED].count()


def with_work(user: AbstractBaseUser) -> QuerySet[Dataset]:
    """The datasets that this person reviews, those with work for them first; `waiting` as of `waiting_count`."""
    items = _dealt(Item.objects.filter(dataset=OuterRef("pk"), aside=""), _arcs(user))
    waits = _unseen(items, user).order_by()
    datasets = reviewable(user).filter(approvals__gt=0, item_count__gt=0)
    return datasets.annotate(waits=Exists(waits), waiting=_Count(waits[:COUNTED])).order_by("-waits", "-updated_at")


class _Count(Subquery):
    """How many rows a subquery has."""

    template = "(SELECT count(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def states(dataset: Dataset) -> dict[str, int]:
    """How many items are in each state of review, without those set aside."""
    rows = Counter(dict.fromkeys(Review.values, 0))
    for state in Review.values:
        rows[state] = dataset.items.filter(review=state, aside="").count()
    return dict(rows)


def assign(dataset: Dataset, by: AbstractBaseUser, user: AbstractBaseUser, share: int = 100) -> Reviewer:
    """Let a person review a dataset, or change how much of it they are to look at, in percent."""
    if isinstance(share, bool) or not 1 <= share <= 100:
        raise InvalidInputError("The share is out of range.", "Use 1 to 100 percent.", fields={"share": ["1 to 100."]})
    if not user.is_active:
        raise InvalidInputError(f"{user.get_username()} can't sign in.", "Choose another person.")
    with transaction.atomic():
        row, _ = Reviewer.objects.update_or_create(
            dataset=dataset,
            user_id=user.pk,
            defaults={"share": share},
            create_defaults={"share": share, "added_by_id": by.pk},
        )
        publish(f"dataset.{dataset.pk}")
    return row


def shortage(dataset: Dataset) -> str:
    """Why not every item can get the approvals that are asked for from those who were named; '' when it can.

    The owner sees what nobody was given; when two must approve, that alone approves nothing.
    """
    if not dataset.approvals:
        return ""
    shares = list(dataset.reviewers.filter(user__is_active=True).values_list("share", flat=True))
    needed = 100 * dataset.approvals
    if not shares:
        return "Two persons must approve each item, and nobody reviews it but its owner." if needed > 100 else ""
    if (given := sum(shares)) >= needed:
        return ""
    each = "two persons must approve each item" if dataset.approvals > 1 else "each item needs an approval"
    return f"The shares add up to {given} %, and {each}: that takes {needed} %. The rest waits for its owner."


def dismiss(dataset: Dataset, user_id: int) -> None:
    """A person reviews a dataset no longer; what they said stays. NotFoundError when they did not review it."""
    with transaction.atomic():
        if not dataset.reviewers.filter(user_id=user_id).delete()[0]:
            raise NotFoundError("This person does not review the dataset.", "Look at the list of its reviewers.")
        publish(f"dataset.{dataset.pk}")


def _check(verdict: str, reason: str) -> None:
    if verdict not in VERDICTS:
        raise InvalidInputError(
            f"'{verdict[:40]}' is no verdict.", f"Choose one of: {', '.join(VERDICTS)}.",
            fields={"verdict": [f"One of: {', '.join(VERDICTS)}."]},
        )  # fmt: skip
    if verdict != Review.APPROVED and not reason:
        hint = "Write why, so that the owner can act on it."
        raise InvalidInputError("A reason is missing.", hint, fields={"reason": [hint]})
    if len(reason) > MAX_REASON:
        hint = f"At most {MAX_REASON:,} characters."
        raise InvalidInputError("The reason is too long.", hint, fields={"reason": [hint]})


def _locked(pk: int) -> Item:
    row = Item.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    if row is None:
        raise NotFoundError("The item is gone.", "Go on with the next one.")
    return row


def _arcs(user: AbstractBaseUser, *datasets: Dataset) -> dict[int, tuple[int, int]]:
    """Of which part of the circle this person was given the items, by dataset: (start, share); where it is all of it,
    the dataset is left out. Without `datasets` of all."""
    mine = Reviewer.objects.filter(user=user.pk, share__lt=100)
    mine = mine.filter(dataset__in=datasets) if datasets else mine
    before = Reviewer.objects.filter(dataset=OuterRef("dataset"), pk__lt=OuterRef("pk")).order_by().values("dataset")
    starts = mine.annotate(start=Coalesce(Subquery(before.annotate(sum=Sum("share")).values("sum")), 0))
    return {pk: (start % 100, share) for pk, start, share in starts.values_list("dataset", "start", "share")}


def _dealt(items: QuerySet[Item], arcs: dict[int, tuple[int, int]]) -> QuerySet[Item]:
    """Those of the items that lie on the arc of their dataset, where it has one."""
    if not arcs:
        return items
    fits = ~Q(dataset__in=arcs)
    for pk, (start, share) in arcs.items():
        end = start + share
        on_it = Q(place__gte=start, place__lt=end) if end <= 100 else Q(place__gte=start) | Q(place__lt=end - 100)
        fits |= Q(dataset=pk) & on_it
    return items.alias(place=ExpressionWrapper(_NUMBER % 100, IntegerField())).filter(fits)


def _unseen(items: QuerySet[Item], user: AbstractBaseUser) -> QuerySet[Item]:
    """Those that are not decided and of which this person has said nothing in their present round."""
    mine = ReviewVote.objects.filter(
        item=OuterRef("pk"), reviewer=user.pk, round=OuterRef("review_round"), withdrawn_at__isnull=True
    )
    return items.filter(~Exists(mine), review=Review.NONE)


def _votes(item: Item) -> QuerySet[ReviewVote]:
    """The votes that count: of the item's present round, not withdrawn."""
    return ReviewVote.objects.filter(item=item, round=item.review_round, withdrawn_at__isnull=True)


def _decide(item: Item, dataset: Dataset) -> Item:
    """The state that follows from the votes, written in the vote's transaction while the item is locked."""
    said = Counter(_votes(item).values_list("verdict", flat=True))
    if said[Review.REJECTED]:
        state = Review.REJECTED
    elif said[Review.CHANGE]:
        state = Review.CHANGE
    else:
        state = Review.APPROVED if said[Review.APPROVED] >= max(1, dataset.approvals) else Review.NONE
    Item.objects.filter(pk=item.pk, review_round=item.review_round).update(review=state)
    item.review = state
    publish(f"dataset.{dataset.pk}")
    return item
