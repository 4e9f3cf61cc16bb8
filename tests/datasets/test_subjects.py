"""Subjects are made, changed, united and deleted; items are given to them, and can be taken back."""

from __future__ import annotations

import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError
from datasets.items import edits
from datasets.models import Dataset, Item, Subject
from datasets.rendering import renderings
from datasets.rendering import templates as sheet_templates
from datasets.subjects import subjects
from jobs.models import Job, Limit
from tests.tables import make_table
from tests.world import make_job, make_version


def texts(owner, name="Texts", labels=("ada", "ada", "bob", ""), **more):
    dataset = Dataset.objects.create(owner=owner, name=name, modality="text", status="active", item_count=len(labels))
    Item.objects.bulk_create(
        Item(dataset=dataset, sha256=f"{name}{n}".ljust(64, "0")[:64], name=f"{n}.txt", label=label, bytes=1,
             media_type="text/plain", facts={"words": 10}, **more)
        for n, label in enumerate(labels)
    )  # fmt: skip
    return dataset


def test_a_subject_is_made_and_changed(owner, stranger):
    ada = subjects.create(owner, name=" Ada  Lovelace ", kind="person", attributes={"born": 1815, "alive": False})
    assert (ada.name, ada.kind, ada.attributes) == ("Ada Lovelace", "person", {"born": 1815, "alive": False})
    with pytest.raises(ConflictError, match="called 'Ada Lovelace' already"):
        subjects.create(owner, name="Ada Lovelace")
    subjects.create(stranger, name="Ada Lovelace")
    subjects.change(ada, name="Ada", attributes={"field": "mathematics"})
    ada.refresh_from_db()
    assert (ada.name, ada.kind, ada.attributes) == ("Ada", "person", {"field": "mathematics"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "}, {"name": "x" * 201}, {"name": "a\x00"}, {"name": "a", "kind": "k" * 51},
        {"name": "a", "attributes": {"x": None}}, {"name": "a", "attributes": {"x": [1]}},
        {"name": "a", "attributes": {"x": float("nan")}}, {"name": "a", "attributes": {"": 1}},
        {"name": "a", "attributes": {"x": "y" * 501}}, {"name": "a", "attributes": {str(n): n for n in range(51)}},
        {"name": "a", "attributes": {"x": "\x00"}},
    ],
)  # fmt: skip
def test_what_can_not_be_kept_is_refused(owner, wrong):
    with pytest.raises(InvalidInputError):
        subjects.create(owner, **wrong)


def test_a_subject_with_jobs_or_models_is_kept(owner):
    ada = subjects.create(owner, name="Ada")
    dataset = texts(owner)
    Dataset.objects.filter(pk=dataset.pk).update(subject=ada)
    make_version(owner, subject=ada)
    with pytest.raises(ConflictError, match="models about it"):
        subjects.delete(ada)
    bob = subjects.create(owner, name="Bob")
    Dataset.objects.filter(pk=dataset.pk).update(subject=bob)
    subjects.delete(bob)
    dataset.refresh_from_db()
    assert dataset.subject is None


def test_merging_moves_everything(owner, administrator):
    ada, countess = (
        subjects.create(owner, name="Ada", attributes={"a": 1}),
        subjects.create(owner, name="Countess", attributes={"a": 2, "b": 3}),
    )
    dataset = texts(owner, subject=countess)
    job, version = make_job(owner, subject=countess), make_version(owner, subject=countess)
    Limit.objects.create(subject=ada, max_active=1)
    Limit.objects.create(subject=countess, max_active=2)
    subjects.merge(ada, [countess])
    assert set(dataset.items.values_list("subject", flat=True)) == {ada.pk}
    assert Job.objects.get(pk=job.pk).subject_id == ada.pk
    version.model.refresh_from_db()
    assert version.model.subject_id == ada.pk
    assert Limit.objects.get(subject=ada).max_active == 1
    assert ada.attributes == {"a": 1, "b": 3}
    assert not Subject.objects.filter(name="Countess").exists()


def test_two_that_are_both_being_trained_are_not_merged(owner, stranger):
    ada, bob = subjects.create(owner, name="Ada"), subjects.create(owner, name="Bob")
    for subject in (ada, bob):
        make_job(owner, subject=subject)
    with pytest.raises(ConflictError, match="both have an active job"):
        subjects.merge(ada, [bob])
    assert Job.objects.filter(subject=bob).count() == 1
    for others in ([], [ada], [subjects.create(stranger, name="Eve")]):
        with pytest.raises(InvalidInputError):
            subjects.merge(ada, others)


def test_items_are_given_to_subjects_by_their_class(owner):
    dataset = texts(owner)
    bob = subjects.create(owner, name="bob")
    found = subjects.values(dataset, "label")
    assert [(one.value, one.items, one.subject) for one in found] == [("ada", 2, None), ("bob", 1, bob)]
    done = subjects.assign(dataset, owner, "label", kind="person")
    assert (done.items, done.subjects, done.made) == (3, 2, 1)
    ada = Subject.objects.get(name="ada")
    assert (ada.kind, ada.items.count(), bob.items.count()) == ("person", 2, 1)
    again = subjects.assign(dataset, owner, "label")
    assert (again.items, again.made) == (0, 0)
    for edit in edits.recent(dataset):
        edits.undo(edit, owner)
    assert not dataset.items.exclude(subject=None).exists()


def test_items_are_given_to_subjects_by_metadata_and_group(owner):
    dataset = texts(owner, metadata={"author": "Ada"}, group="g1")
    assert [key for key, _ in subjects.ways(dataset)] == ["label", "group", "metadata:author"]
    assert subjects.assign(dataset, owner, "metadata:author").items == 4
    assert Subject.objects.get(name="Ada").items.count() == 4
    assert subjects.values(dataset, "group")[0].items == 4
    with pytest.raises(InvalidInputError):
        subjects.values(dataset, "owner__password")


def test_pairs_are_given_to_subjects_by_a_column_of_their_sheet(owner):
    table = make_table(owner)
    template = sheet_templates.create(owner, name="Note", prompt="{{ id }}", completion="{{ note }}")
    pairs = renderings.run_rendering(renderings.start(table, owner, template).pk).target
    assert ("column:Type", "the column 'Type' of their sheet") in subjects.ways(pairs)
    done = subjects.assign(pairs, owner, "column:Type", kind="machine")
    assert (done.items, done.made) == (18, 3)
    rows = [item.origin["row"] for item in Subject.objects.get(name="H").items.all()]
    assert sorted(rows) == [2, 6, 10, 14, 18]


def test_too_many_values_name_no_subjects(owner, monkeypatch):
    monkeypatch.setattr(subjects, "MAX_VALUES", 1)
    with pytest.raises(InvalidInputError, match="more than 1 different"):
        subjects.assign(texts(owner), owner, "label")
    assert not Subject.objects.exists()


def test_a_sheet_whose_tables_are_gone_offers_no_columns(owner):
    table = make_table(owner)
    template = sheet_templates.create(owner, name="Note", prompt="{{ id }}", completion="{{ note }}")
    pairs = renderings.run_rendering(renderings.start(table, owner, template).pk).target
    table.items.all().delete()
    assert [key for key, _ in subjects.ways(pairs)] == ["label"]
    assert subjects.values(pairs, "column:Type") == []


def test_an_assignment_that_breaks_off_gives_no_item_to_anybody(owner, monkeypatch):
    dataset = texts(owner)
    edit, made = edits.edit_items, []

    def break_off(*given, **named):
        if made:
            raise RuntimeError("killed")
        made.append(edit(*given, **named))
        return made[0]

    monkeypatch.setattr(edits, "edit_items", break_off)
    with pytest.raises(RuntimeError):
        subjects.assign(dataset, owner, "label")
    assert made and not dataset.edits.exists() and not Subject.objects.exists()


def test_merging_goes_by_what_the_subject_is_now(owner):
    ada, countess = subjects.create(owner, name="Ada"), subjects.create(owner, name="Countess", attributes={"born": 1})
    subjects.change(Subject.objects.get(pk=ada.pk), attributes={"born": 1815})  # by somebody else, meanwhile
    assert subjects.merge(ada, [countess]).attributes == {"born": 1815}
    ada.refresh_from_db()
    assert ada.attributes == {"born": 1815}
    gone, other = subjects.create(owner, name="Gone"), subjects.create(owner, name="Other")
    Subject.objects.filter(pk=gone.pk).delete()
    with pytest.raises(NotFoundError, match="is gone"):
        subjects.merge(gone, [other])
    assert Subject.objects.filter(pk=other.pk).exists()
