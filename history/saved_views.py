"""Filters and an order of the history under a name, to come back to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from common.errors import ConflictError, InvalidInputError
from common.pages import clean
from history import filters
from history.browsing import NEWEST, SORT_NAMES
from history.models import SavedView

MOST, LONGEST = 100, 100


def create(owner: AbstractBaseUser, name: str, given: Mapping[str, Any], sort: str = "") -> SavedView:
    """Keep these filters; what can't be asked for is refused. ConflictError when the name is taken."""
    wanted = filters.read(given, owner)
    view = SavedView(owner=owner, name=_name(name), filters=wanted.query(), sort=_sort(sort))
    if SavedView.objects.filter(owner=owner).count() >= MOST:
        raise ConflictError(f"You have {MOST} saved views already.", "Delete one that you no longer need.")
    with _one_name(view.name):
        view.save()
    return view


def change(
    view: SavedView, *, name: str | None = None, given: Mapping[str, Any] | None = None, sort: str | None = None
) -> SavedView:
    """Rename it, or let it hold other filters; None leaves what it is."""
    if name is not None:
        view.name = _name(name)
    if given is not None:
        view.filters = filters.read(given, view.owner).query()
    if sort is not None:
        view.sort = _sort(sort)
    with _one_name(view.name):
        view.save()
    return view


def delete(view: SavedView) -> None:
    view.delete()


def query(view: SavedView) -> str:
    """The filters and the order as the query of an address."""
    return urlencode({**view.filters, **({"sort": view.sort} if view.sort and view.sort != NEWEST else {})})


def _name(text: str) -> str:
    name = " ".join(clean(text).split())
    if not name or len(name) > LONGEST:
        problem = f"A view needs a name of 1 to {LONGEST} characters."
        raise InvalidInputError(problem, "Say what it shows.", fields={"name": [problem]})
    return name


def _sort(text: str) -> str:
    if text and text not in SORT_NAMES:
        problem = f"One of: {', '.join(SORT_NAMES)}."
        raise InvalidInputError(f"sort: {problem}", problem, fields={"sort": [problem]})
    return text


@contextmanager
def _one_name(name: str) -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        problem = f"You have a view called '{name}' already."
        raise ConflictError(problem, "Choose another name.", fields={"name": [problem]}) from None
