"""What may be trained on: items that passed the gates which their dataset asks for, and why the others did not.

An item passes when nobody set it aside, when enough reviewers approved it (if `Dataset.approvals` is above 0), and when
the governance rules allow it (if `Dataset.governed`). What counts or freezes training data asks here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When

from datasets.models import Dataset, Governance, Item, Review

# In the order in which they are told: an item has one reason, the first that holds.
REASONS = {
    "set_aside": "Set aside",
    "rejected": "Rejected by a reviewer",
    "not_approved": "Not approved yet",
    "refused": "Refused by a rule",
    "unchecked": "Not checked by the rules yet",
}

_REVIEWED = Q(dataset__approvals__gt=0)
_GOVERNED = Q(dataset__governed=True)
# For items of any datasets at once, such as those of a subject.
PASSED = Q(aside="") & (~_REVIEWED | Q(review=Review.APPROVED)) & (~_GOVERNED | Q(governance=Governance.ALLOWED))


def trainable(dataset: Dataset) -> QuerySet[Item]:
    """The items that a job on this dataset gets."""
    return dataset.items.filter(passes(dataset))


def refused(dataset: Dataset) -> QuerySet[Item]:
    """The items that a job would not get; each has a `why`, a key of REASONS."""
    return dataset.items.exclude(passes(dataset)).annotate(why=_why(dataset))


def judged(dataset: Dataset) -> QuerySet[Item]:
    """All items; `why` is a key of REASONS, '' for those that passed."""
    return dataset.items.annotate(why=_why(dataset))


def left_out(dataset: Dataset) -> dict[str, int]:
    """How many items each reason keeps out, for every key of REASONS; an item counts once."""
    rows = refused(dataset).order_by().values_list("why").annotate(count=Count("id"))
    return dict.fromkeys(REASONS, 0) | dict(rows)


def in_words(counts: Mapping[str, int]) -> str:
    """'3 set aside, 1 rejected by a reviewer'; '' when nothing was left out."""
    return ", ".join(f"{counts[key]:,} {words.lower()}" for key, words in REASONS.items() if counts.get(key))


def passes(dataset: Dataset) -> Q:
    """What holds of an item of this dataset that passes."""
    passed = Q(aside="")
    if dataset.approvals:
        passed &= Q(review=Review.APPROVED)
    if dataset.governed:
        passed &= Q(governance=Governance.ALLOWED)
    return passed


def _why(dataset: Dataset) -> Case:
    reasons = [When(~Q(aside=""), Value("set_aside"))]
    if dataset.approvals:
        reasons.append(When(review=Review.REJECTED, then=Value("rejected")))
        reasons.append(When(~Q(review=Review.APPROVED), Value("not_approved")))
    if dataset.governed:
        reasons.append(When(governance=Governance.REFUSED, then=Value("refused")))
        reasons.append(When(governance=Governance.UNCHECKED, then=Value("unchecked")))
    return Case(*reasons, default=Value(""), output_field=CharField())
