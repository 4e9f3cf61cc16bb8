"""Making, changing and deleting datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.db.models.fields.json import KT

from accounts import audit
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from common.push import publish
from common.references import remove_unreferenced
from datasets.models import (
    Dataset,
    DatasetVersion,
    EditedItem,
    Finding,
    GovernanceDecision,
    Import,
    Item,
    Modality,
    Refusal,
    RenderError,
    Rendering,
    ReviewVote,
    Subject,
)


def create_dataset(
    owner: AbstractBaseUser,
    *,
    name: str,
    modality: str,
    subject: Subject | None = None,
    description: str = "",
    idempotency_key: str = "",
) -> tuple[Dataset, bool]:
    """A new, empty dataset, and True; or the one that this key made before, and False.

    ConflictError when the owner has a dataset of this name, or used the key for something else.
    """
    name = _checked_name(name)
    if modality not in Modality.values:
        raise InvalidInputError(
            f"'{modality}' is no kind of data that a dataset can hold.",
            f"Choose one of: {', '.join(Modality.values)}.",
            fields={"modality": [f"One of: {', '.join(Modality.values)}."]},
        )
    if len(idempotency_key) > 200:
        raise InvalidInputError("The Idempotency-Key is longer than 200 characters.", "Use a UUID.")
    try:
        with transaction.atomic():
            made = Dataset.objects.create(
                owner=owner, name=name, modality=modality, subject=subject, description=description,
                idempotency_key=idempotency_key,
            )  # fmt: skip
    except IntegrityError:
        return _made_before(owner, name, modality, idempotency_key), False
    return made, True


def change_dataset(
    dataset: Dataset, by: AbstractBaseUser, *, name: str | None = None, description: str | None = None,
    subject: Subject | None = None, clear_subject: bool = False,
) -> Dataset:  # fmt: skip
    """Rename or describe a dataset. None leaves a field as it is. ConflictError when the name is taken."""
    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = _checked_name(name)
    if description is not None:
        changes["description"] = description
    if subject is not None or clear_subject:
        changes["subject"] = subject
    for field, value in changes.items():
        setattr(dataset, field, value)
    try:
        with transaction.atomic():
            dataset.save(update_fields=[*changes, "updated_at"])
            publish(f"dataset.{dataset.pk}")
    except IntegrityError as error:
        raise _name_taken(dataset.name) from error
    return dataset


def delete_dataset(dataset: Dataset, by: AbstractBaseUser) -> int:
    """Delete a dataset with its items, imports and versions; returns the bytes freed on the disk.

    ConflictError when jobs or model versions were made from it. Files that something else needs stay.
    """
    with transaction.atomic():
        if not Dataset.objects.select_for_update().filter(pk=dataset.pk).exists():
            raise NotFoundError("The dataset is gone already.", "Go back to the list of datasets.")
        if made := list(dataset.renderings.values_list("target__name", flat=True).distinct()[:3]):
            raise ConflictError(
                f"'{dataset.name}' can't be deleted: the training sheets {', '.join(made)} were made from its rows.",
                "Delete these first, or keep it, so that it stays known where their pairs come from.",
            )
        addresses = [bytes.fromhex(sha256) for sha256 in _addresses(dataset)]
        try:
            dataset.versions.all().delete()
        except ProtectedError as error:
            raise _in_use(dataset, error) from error
        # One statement for each table, whatever the number of rows; cascades would load them.
        Refusal.objects.filter(source__dataset=dataset).delete()
        for about_items in (Finding, ReviewVote, GovernanceDecision):
            about_items.objects.filter(dataset=dataset).delete()
        EditedItem.objects.filter(edit__dataset=dataset).delete()
        items = Item.objects.filter(dataset=dataset)
        items._raw_delete(items.db)  # nothing points at them any more
        Import.objects.filter(dataset=dataset).delete()
        RenderError.objects.filter(rendering__target=dataset).delete()
        audit.write(by, "deleted", dataset, items=dataset.item_count, bytes=dataset.byte_count)
        Dataset.objects.filter(pk=dataset.pk).delete()
        publish(f"dataset.{dataset.pk}")
    return remove_unreferenced(store(), (address.hex() for address in addresses))


def named_files(addresses: list[str]) -> set[str]:
    """Those of the addresses that an item, a version or an open rendering names (see common.references)."""
    items = Item.objects.filter(sha256__in=addresses).values_list("sha256", flat=True)
    copies = Item.objects.filter(facts__has_key="parquet").annotate(copy=KT("facts__parquet"))  # by an index
    copies = copies.filter(copy__in=addresses).values_list("copy", flat=True)
    versions = DatasetVersion.objects.filter(content_hash__in=addresses).values_list("content_hash", flat=True)
    lists = DatasetVersion.objects.filter(left_out_hash__in=addresses).values_list("left_out_hash", flat=True)
    rendered = Rendering.objects.filter(status__in=Rendering.OPEN).values_list("rendered_by__tables", flat=True)
    tables = {parquet for tables in rendered for _, parquet, *_ in tables or ()}
    return {*items, *copies, *versions, *lists, *tables.intersection(addresses)}


def addresses_of(items: QuerySet[Item]) -> Iterator[str]:
    """The files of the store that these items name."""
    for sha256, copy in items.order_by().values_list("sha256", "facts__parquet").iterator(5000):
        yield sha256
        if copy:
            yield copy


def _addresses(dataset: Dataset) -> Iterator[str]:
    yield from addresses_of(dataset.items.all())
    for version in dataset.versions.values_list("content_hash", "left_out_hash"):
        yield from filter(None, version)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200:
        problem = "Give it a name." if not name else "At most 200 characters."
        raise InvalidInputError(f"The name is not usable: {problem}", problem, fields={"name": [problem]})
    return name


def _made_before(owner: AbstractBaseUser, name: str, modality: str, key: str) -> Dataset:
    earlier = Dataset.objects.filter(owner=owner, idempotency_key=key).first() if key else None
    if earlier is None:
        raise _name_taken(name)
    if (earlier.name, earlier.modality) != (name, modality):
        raise ConflictError(
            "This Idempotency-Key was used for another dataset.", "Use a new key for each new dataset.",
            dataset=earlier.pk,
        )  # fmt: skip
    return earlier


def _name_taken(name: str) -> ConflictError:
    return ConflictError(
        f"You have a dataset called '{name}' already.",
        "Choose another name, or add files to that dataset.",
        fields={"name": ["You have a dataset of this name already."]},
    )


def _in_use(dataset: Dataset, error: ProtectedError) -> ConflictError:
    users = Counter(str(item._meta.verbose_name) for item in error.protected_objects)
    words = " and ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in users.items())
    return ConflictError(
        f"'{dataset.name}' can't be deleted: it was used by {words}.",
        "Keep it, so that it stays known what those models learned from.",
    )
