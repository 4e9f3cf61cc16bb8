"""Changes of items by people: one item or a hundred thousand, remembered so that they can be undone.

Each edit is one transaction, and its work is done inside the database: memory does not grow with the number of items.
Labels are counted per class as items come and go (`LabelCount`); this is the only place that changes a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import F, Func, JSONField, Q, QuerySet, Value
from django.db.models.functions import Now

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.push import publish
from datasets.gating import governance
from datasets.items import content_edits, edit_values, labels
from datasets.items.edit_values import checked
from datasets.models import Dataset, Edit, EditedItem, Item
from datasets.quality import score
from datasets.reviewing import reviews

FIELDS = edit_values.FIELDS
REVIEWED = {"label", "caption", "content"}  # what reviewers look at
GOVERNED = {"metadata", "label", "group", "subject"}  # what rules look at
CHUNK = 5000
MOST = 250_000  # items of one edit: everyone who adds items waits for it
NAMED = 20  # items that are named when they could not be restored

_LABELS_BEFORE = (
    "SELECT before #>> '{}' AS label, -count(*) AS items FROM datasets_editeditem WHERE edit_id = %(edit)s GROUP BY 1"
    " UNION ALL SELECT %(label)s, count(*) FROM datasets_editeditem WHERE edit_id = %(edit)s"
)

Items = Iterable[int] | QuerySet[Item]


@dataclass(frozen=True)
class Kept:
    """An item that an undo left as it is, and why."""

    item: int
    name: str
    reason: str


@dataclass
class Undone:
    """How an undo went: items restored, items left as they are, and the first of those by name."""

    edit: Edit
    restored: int = 0
    left: int = 0
    kept: list[Kept] = field(default_factory=list)


def edit_items(dataset: Dataset, by: AbstractBaseUser, items: Items, *, field: str, value: Any) -> Edit:
    """Set one field of the items, given by ids or as a queryset, and remember what each one was.

    `field`: label, caption, group, subject (one, its id, or None), aside (a code; "" takes items back), metadata
    (keys are set, a key with None is removed), content (of one row). Items of other datasets, and those that have
    the value already, are passed over. An edit that changes nothing is not kept: its count is 0, it has no id.
    InvalidInputError when the value can't be that field's, ConflictError when a row of this content is there already.
    """
    value = checked(field, value, by)
    with transaction.atomic():
        lock(dataset)
        edit = Edit.objects.create(dataset=dataset, by=by, field=field, value=value)
        chosen = _differing(dataset, field, value)
        for part in _parts(items):
            edit.count += _remember(edit, chosen.filter(pk__in=part))
            if edit.count > MOST:
                raise _too_many()
        if not edit.count:
            edit.delete()
            return edit
        edit.save(update_fields=["count"])
        if field == "content":
            content_edits.write(dataset, _single(edit), value)
        else:
            _write(edit, f"{_column(edit)} = {edit_values.written(field)}")
        if field == "label":
            labels.moved(dataset, _LABELS_BEFORE, {"edit": edit.pk, "label": value})
        _follow(edit)
    return edit


def change_item(item: Item, by: AbstractBaseUser, values: dict[str, Any]) -> list[Edit]:
    """Set several fields of one item, each an edit of its own, all or none. Errors as `edit_items`."""
    with transaction.atomic():
        made = [edit_items(item.dataset, by, [item.pk], field=field, value=value) for field, value in values.items()]
    return [edit for edit in made if edit.count]


def undo(edit: Edit, by: AbstractBaseUser) -> Undone:
    """Give the items back what they had. What was changed again since is left as it is, and said.

    Undoing twice does no harm: the second time nothing happens. ConflictError when every item was changed again.
    """
    with transaction.atomic():
        lock(edit.dataset)
        edit = Edit.objects.select_for_update(of=["self"]).select_related("dataset", "by").get(pk=edit.pk)
        if edit.undone_at is not None:
            return Undone(edit)
        undone = _restore(edit)
        if not undone.restored:
            raise ConflictError(_nothing_restored(undone), "Change the items by hand instead.")
        Edit.objects.filter(pk=edit.pk).update(undone_at=Now(), undone_by=by)
        edit.refresh_from_db()
        _follow(edit)
    return undone


def recent(dataset: Dataset) -> QuerySet[Edit]:
    """The edits of a dataset, newest first."""
    return dataset.edits.select_related("by", "undone_by").defer("by__password", "undone_by__password")


def lock(dataset: Dataset) -> None:
    """Hold the dataset until the end of the transaction; everyone who writes items holds it first."""
    if not Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).exists():
        raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")


def _parts(items: Items) -> Iterator[list[int]]:
    """Ids, some thousands at a time; those of a queryset come from a cursor of the database."""
    ids = iter(items.values_list("pk", flat=True).iterator(CHUNK) if isinstance(items, QuerySet) else items)
    while part := list(islice(ids, CHUNK)):
        yield part


def _differing(dataset: Dataset, field: str, value: Any) -> QuerySet[Item]:
    """Items of the dataset that don't have the value yet."""
    items = dataset.items.order_by()
    if field == "content":
        return items.filter(content__isnull=False).exclude(content=Value(value, JSONField()))
    if field == "metadata":
        return items.exclude(metadata=edit_values.expression(field, value))
    column = edit_values.column(field)
    if value is None:
        return items.filter(**{f"{column}__isnull": False})
    return items.filter(~Q(**{column: value}) | Q(**{f"{column}__isnull": True}))


def _remember(edit: Edit, items: QuerySet[Item]) -> int:
    """Note what the items are now, inside the database. Returns how many there were."""
    items = items.exclude(pk__in=EditedItem.objects.filter(edit=edit).values("item"))
    before = Func(F(edit_values.column(edit.field)), function="to_jsonb", output_field=JSONField())
    sql, parameters = items.values_list(Value(edit.pk), "pk", before).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO datasets_editeditem (edit_id, item_id, before) {sql}", parameters)
        return cursor.rowcount


def _too_many() -> InvalidInputError:
    problem = f"More than {MOST:,} items would be changed at once."
    return InvalidInputError(problem, "Narrow the filters, and do it in parts.", fields={"items": [problem]})


def _single(edit: Edit) -> Item:
    if edit.count > 1:
        problem = "Change the content of one item at a time: no two of a dataset may say the same."
        raise InvalidInputError(problem, "Name one item.", fields={"items": [problem]})
    return Item.objects.get(pk__in=edit.items.values("item"))


def _column(edit: Edit) -> str:
    return connection.ops.quote_name(edit_values.column(edit.field))


def _write(edit: Edit, assignment: str, fits: str = "true") -> int:
    """UPDATE the edit's items, a few thousand a statement; returns how many. `was` is an item's EditedItem.

    What reviewers and rules said of them falls in the same stroke: each write of a row costs all its indexes.
    """
    more = ""
    if edit.field in REVIEWED:
        more += ", review = 'none', review_round = item.review_round + 1"  # as reviews.forget
    if edit.field in GOVERNED:
        more += ", governance = 'unchecked'"  # as governance.recheck
    sql = (
        f"UPDATE datasets_item item SET {assignment}{more} FROM datasets_editeditem was"
        " WHERE was.edit_id = %(edit)s AND was.id > %(first)s AND was.id <= %(last)s AND item.id = was.item_id"
        f" AND {fits}"
    )
    given = {"edit": edit.pk, "first": 0, **edit_values.parameters(edit.field, edit.value)}
    places = EditedItem.objects.filter(edit=edit).order_by("pk").values_list("pk", flat=True)
    written = 0
    with connection.cursor() as cursor:
        while last := next(iter(places.filter(pk__gt=given["first"])[CHUNK - 1 : CHUNK]), None) or places.last():
            if last <= given["first"]:
                break
            cursor.execute(sql, {**given, "last": last})
            written += cursor.rowcount
            given["first"] = last
    return written


def _restore(edit: Edit) -> Undone:
    """Put back what nobody changed since; note the others."""
    if edit.field == "content":
        refusal = content_edits.restore(edit)
        if refusal is None:
            return Undone(edit, restored=1)
        item, reason = refusal
        return Undone(edit, left=1, kept=[Kept(item.pk, item.name, reason)])
    fits = f"to_jsonb(item.{_column(edit)}) IS NOT DISTINCT FROM {edit_values.json_after(edit.field)}"
    pairs = "datasets_editeditem was JOIN datasets_item item ON item.id = was.item_id WHERE was.edit_id = %(edit)s"
    given = {"edit": edit.pk, **edit_values.parameters(edit.field, edit.value)}
    with connection.cursor() as cursor:
        changed = f"SELECT item.id, item.name, count(*) OVER () FROM {pairs} AND NOT ({fits})"
        cursor.execute(f"{changed} ORDER BY item.id LIMIT {NAMED}", given)
        others = cursor.fetchall()
        if edit.field == "label":
            back = f"SELECT was.before #>> '{{}}' AS label, count(*) AS items FROM {pairs} AND {fits} GROUP BY 1"
            gone = f"SELECT %(label)s, -count(*) FROM {pairs} AND {fits}"
            labels.moved(edit.dataset, f"{back} UNION ALL {gone}", {**given, "label": edit.value})
    restored = _write(edit, f"{_column(edit)} = {edit_values.restored(edit.field)}", fits)
    kept = [Kept(pk, name, f"Its {edit.field} was changed again since.") for pk, name, _ in others]
    return Undone(edit, restored, others[0][2] if others else 0, kept)


def _follow(edit: Edit) -> None:
    """What an edit or its undo leads to: new rounds of review, another look of the rules, and pages that show it."""
    dataset = edit.dataset
    if edit.field == "content":
        reviews.forget(dataset, edit.items.values_list("item", flat=True))
    if edit.field in GOVERNED:
        governance.ask(Dataset.objects.filter(pk=dataset.pk))
    if edit.field == "aside":
        score.follow(dataset)
    Dataset.objects.filter(pk=dataset.pk).update(updated_at=Now())
    publish(f"dataset.{dataset.pk}")


def _nothing_restored(undone: Undone) -> str:
    if not undone.left:
        return "There is nothing to undo: the items are gone."
    if undone.left == 1:
        return f"'{undone.kept[0].name}' was left as it is. {undone.kept[0].reason}"
    return f"All {undone.left:,} items were changed again since, so none was restored."
