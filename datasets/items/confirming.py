"""All that fit the filters, as somebody confirmed them: none that came since, and no more than they were told of."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import closing

from django.db.models import QuerySet
from django.http import QueryDict

from common.errors import ConflictError
from common.pages import number_in
from datasets.items import browse
from datasets.items.browse import Total
from datasets.items.filters import Filters
from datasets.models import Dataset, Item

LATEST, COUNTED = "upto", "counted"
NOT_KEPT = {"csrfmiddlewaretoken", "sure", LATEST, COUNTED}
UNCOUNTED = "uncounted"  # where the question could not say how many, nobody was told of too few
CHUNK = 5000
AGAIN = "The dataset was changed meanwhile. Look at the list again, then choose anew."


def kept(dataset: Dataset, form: QueryDict, counted: Total | None = None) -> list[tuple[str, str]]:
    """What the form of a question sends again, and what makes its answer mean what was asked.

    `counted` are the items that fit, None when they were chosen one by one.
    """
    latest = dataset.items.order_by("-pk").values_list("pk", flat=True).first() or 0
    said = [(name, text) for name in form if name not in NOT_KEPT for text in form.getlist(name)]
    if counted is not None:
        said = [(name, text) for name, text in said if name != "item"]
        said.append((COUNTED, str(counted.number) if counted.exact else UNCOUNTED))
    return [*said, (LATEST, str(latest)), ("sure", "1")]


def confirmed(dataset: Dataset, wanted: Filters, form: QueryDict) -> Iterator[int]:
    """The ids of all that fit, one by one. Whoever changes them holds the dataset before the first is asked for.

    ConflictError when none fits any more, or more than the question said.
    """
    fitting = browse.matching(dataset, wanted)
    upto = number_in(form.get(LATEST)) or 0
    told = math.inf if form.get(COUNTED) == UNCOUNTED else number_in(form.get(COUNTED)) or 0
    found = 0
    # Closed before an error ends the transaction, which the cursor behind it needs.
    with closing(_ids(fitting)) as ids:
        for pk in ids:
            if pk > upto:
                continue
            found += 1
            if found > told:
                break
            yield pk
    if not found:
        raise ConflictError("No item fits these filters any more, so nothing was done.", AGAIN)
    if found > told:
        raise ConflictError(f"More than the {told:,} items that you confirmed fit now, so nothing was done.", AGAIN)


def _ids(items: QuerySet[Item] | Iterator[int]) -> Generator[int, None, None]:
    if isinstance(items, QuerySet):
        items = items.values_list("pk", flat=True).iterator(CHUNK)
    yield from items
