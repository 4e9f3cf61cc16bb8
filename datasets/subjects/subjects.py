"""Subjects: made, changed, united, deleted, and given the items that are about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import Count, F, OneToOneRel, ProtectedError, QuerySet
from django.db.models.fields.json import KeyTextTransform

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.parsers import check_text
from common.push import publish
from common.uniqueness import one_name
from datasets.items import edits
from datasets.models import Dataset, Item, Modality, Subject
from datasets.rendering import sheets

MAX_ATTRIBUTES = 50
MAX_TEXT = 500
MAX_VALUES = 1000  # subjects that one assignment may concern
COLUMN = "column:"
METADATA = "metadata:"


def create(owner: AbstractBaseUser, *, name: str, kind: str = "", attributes: dict[str, Any] | None = None) -> Subject:
    """A new subject. ConflictError when the owner has one of this name."""
    values = {"name": _name(name), "kind": _kind(kind), "attributes": check_attributes(attributes or {})}
    with _one_name(values["name"]):
        return Subject.objects.create(owner=owner, **values)


def change(
    subject: Subject, *, name: str | None = None, kind: str | None = None, attributes: dict[str, Any] | None = None
) -> Subject:
    """Rename or describe a subject; `attributes` replace all that there were. None leaves a part as it is."""
    if name is not None:
        subject.name = _name(name)
    if kind is not None:
        subject.kind = _kind(kind)
    if attributes is not None:
        subject.attributes = check_attributes(attributes)
    with _one_name(subject.name):
        subject.save(update_fields=["name", "kind", "attributes"])
    return subject


@transaction.atomic
def delete(subject: Subject) -> None:
    """Remove a subject; its datasets and items stay. ConflictError when jobs or models are about it."""
    try:
        Subject.objects.filter(pk=subject.pk).delete()
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name) + "s" for row in error.protected_objects})
        raise ConflictError(
            f"'{subject.name}' can't be deleted: there are {' and '.join(kinds)} about it.",
            "Keep it, so that it stays known whom they are about; or merge it into another subject.",
        ) from error


def merge(into: Subject, others: Sequence[Subject]) -> Subject:
    """Make several subjects one: everything about the others is about `into`, then they are deleted.

    Attributes that `into` lacks are taken over. ConflictError when both have an active job of one recipe,
    NotFoundError when `into` is gone.
    """
    if not others or any(other.pk == into.pk or other.owner_id != into.owner_id for other in others):
        raise InvalidInputError("These subjects can't be merged.", "Choose other subjects of the same owner.")
    with transaction.atomic():
        # In one order, so that two who merge the same subjects wait for each other and not in a circle.
        held = Subject.objects.select_for_update().filter(pk__in=[into.pk, *_keys(others)]).order_by("pk")
        rows = {row.pk: row for row in held}
        if into.pk not in rows:
            raise NotFoundError(f"'{into.name}' is gone.", "Reload the list of subjects, then choose again.")
        into.attributes = rows[into.pk].attributes
        for other in others:
            _move(other, into)
            into.attributes = rows[other.pk].attributes | into.attributes if other.pk in rows else into.attributes
        into.save(update_fields=["attributes"])
        Subject.objects.filter(pk__in=_keys(others)).delete()
    return into


@dataclass(frozen=True)
class Value:
    """One value by which items can be given to a subject: how many have it, and the subject of that name, if any."""

    value: str
    items: int
    subject: Subject | None


@dataclass
class Assigned:
    """What an assignment came to."""

    items: int = 0
    subjects: int = 0
    made: int = 0


def ways(dataset: Dataset) -> list[tuple[str, str]]:
    """By what the items of a dataset can be told apart: (key, in words)."""
    found = [("label", "their class")]
    if dataset.items.exclude(group="").exists():
        found.append(("group", "their group"))
    keys: set[str] = set()
    for metadata in dataset.items.exclude(metadata={}).values_list("metadata", flat=True)[:200]:
        keys |= set(metadata)
    found += [(f"{METADATA}{key}", f"'{key}' of their metadata") for key in sorted(keys)[:50]]
    columns: dict[str, None] = {}
    if dataset.modality == Modality.TEXT:
        for sheet in _sheets(dataset):
            columns |= dict.fromkeys(sheet.names)
    return found + [(f"{COLUMN}{name}", f"the column '{name}' of their sheet") for name in columns]


def values(dataset: Dataset, way: str) -> list[Value]:
    """The values of `way` (a key of `ways`), the most frequent first. InvalidInputError when there are too many."""
    counts = {value: len(ids) for value, ids in _by_column(dataset, way).items()} if way.startswith(COLUMN) else dict(
        _values_of(dataset, way).values_list("way").annotate(count=Count("pk"))[: MAX_VALUES + 1]
    )  # fmt: skip
    if len(counts) > MAX_VALUES:
        message = f"There are more than {MAX_VALUES:,} different values, so they name no subjects."
        raise InvalidInputError(message, "Choose something that items share.", fields={"way": [message]})
    known = {subject.name: subject for subject in Subject.objects.filter(owner=dataset.owner)}
    found = [Value(value, count, known.get(_cut(value))) for value, count in counts.items()]
    return sorted(found, key=lambda one: (-one.items, one.value))


@transaction.atomic
def assign(dataset: Dataset, by: AbstractBaseUser, way: str, *, kind: str = "") -> Assigned:
    """Give each item to the subject that its value names; subjects that are missing are made, of this `kind`.

    Each subject is one edit (`datasets.items.edits`), which can be undone; all of them are made, or none.
    """
    kind = _kind(kind)
    edits.lock(dataset)
    done = Assigned()
    ids = _by_column(dataset, way) if way.startswith(COLUMN) else {}
    for value in values(dataset, way):
        subject = value.subject
        if subject is None:
            subject, made = Subject.objects.get_or_create(
                owner=dataset.owner, name=_cut(value.value), defaults={"kind": kind}
            )
            done.made += made
        items = ids.get(value.value) if ids else _values_of(dataset, way).filter(way=value.value)
        edit = edits.edit_items(dataset, by, items or [], field="subject", value=subject)
        done.items += edit.count
        done.subjects += bool(edit.count)
    publish("subjects")
    return done


def check_attributes(given: Any) -> dict[str, Any]:
    """Attributes as they are kept: name → text, finite number, or true / false."""
    if not isinstance(given, dict) or len(given) > MAX_ATTRIBUTES:
        raise _wrong("attributes", f"At most {MAX_ATTRIBUTES} attributes, each a name with a value.")
    for key, value in given.items():
        if not isinstance(key, str) or not key.strip() or len(key) > 100:
            raise _wrong("attributes", "An attribute's name is missing or longer than 100 characters.")
        if not isinstance(value, str | int | float | bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise _wrong("attributes", f"'{key[:50]}' must be a text, a number, or true or false.")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise _wrong("attributes", f"'{key[:50]}' is longer than {MAX_TEXT} characters.")
        _storable("attributes", key, str(value))
    return {key.strip(): value for key, value in given.items()}


def _move(other: Subject, into: Subject) -> None:
    """Let every row that names `other` name `into`."""
    for relation in Subject._meta.related_objects:
        name = relation.field.name
        rows = relation.related_model._default_manager.filter(**{name: other})
        if (
            isinstance(relation, OneToOneRel)
            and relation.related_model._default_manager.filter(**{name: into}).exists()
        ):
            rows.delete()
            continue
        try:
            with transaction.atomic():
                rows.update(**{name: into})
        except IntegrityError as error:
            what = relation.related_model._meta.verbose_name
            raise ConflictError(
                f"'{other.name}' and '{into.name}' both have an active {what} of the same recipe.",
                "Wait until one has ended, or cancel it, then merge them.",
            ) from error


def _values_of(dataset: Dataset, way: str) -> QuerySet[Item]:
    """Items that have a value, annotated as `way`."""
    items = dataset.items.order_by()
    if way in {"label", "group"}:
        return items.exclude(**{way: ""}).annotate(way=F(way))
    if way.startswith(METADATA):
        key = way.removeprefix(METADATA)
        return items.filter(metadata__has_key=key).annotate(way=KeyTextTransform(key, "metadata")).exclude(way="")
    raise _wrong("way", "Choose one of the ways that are offered.")


def _sheets(dataset: Dataset) -> Iterator[sheets.Sheet]:
    """The sheets that a training sheet was made from, each once; those whose tables are gone are passed over."""
    for sheet in Dataset.objects.filter(renderings__target=dataset).distinct().order_by("id")[:20]:
        with suppress(ConflictError):
            yield sheets.open_sheet(sheet)


def _by_column(dataset: Dataset, way: str) -> dict[str, list[int]]:
    """Ids of pairs by the value of a column in the row that each was made from."""
    column = way.removeprefix(COLUMN)
    pairs = dataset.items.filter(origin__has_key="row").order_by("id").values_list("pk", "origin")
    ids = {(origin["item"], origin["row"]): pk for pk, origin in pairs.iterator(5000)}
    found: dict[str, list[int]] = {}
    for sheet in _sheets(dataset):
        if column not in sheet.names:
            continue
        for batch in sheet.read(0, [column]):
            for row in batch:
                value = row.values[column]
                text = "" if value is None else " ".join(str(value).split())
                if text and (pk := ids.get((row.item, row.row))):
                    found.setdefault(text, []).append(pk)
    return found


def _keys(subjects: Sequence[Subject]) -> list[int]:
    return [subject.pk for subject in subjects]


def _cut(value: str) -> str:
    return " ".join(value.split())[:200]


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise _wrong("name", "Give it a name." if not name else "At most 200 characters.")
    _storable("name", name)
    return name


def _kind(kind: str) -> str:
    kind = " ".join(kind.split())
    if len(kind) > 50:
        raise _wrong("kind", "At most 50 characters.")
    _storable("kind", kind)
    return kind


def _storable(field: str, *texts: str) -> None:
    for text in texts:
        try:
            check_text(text)
        except ValueError as error:
            raise _wrong(field, str(error).capitalize()) from error


def _wrong(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"The {field} can't be used: {problem}", problem, fields={field: [problem]})


def _one_name(name: str) -> AbstractContextManager[None]:
    return one_name(f"You have a subject called '{name}' already.", "Use it, or choose another name.")
