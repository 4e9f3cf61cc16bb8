"""Changes of many items at once, remembered and undone; counters stay right."""

import pytest
from django.db import connection
from django.db.models import Sum

from common.errors import ConflictError, InvalidInputError, NotFoundError
from datasets.creation import delete_dataset
from datasets.items import edits, rows, usage
from datasets.items.edits import edit_items, recent, undo
from datasets.models import Dataset, Edit, EditedItem, Item, LabelCount
from datasets.subjects.subjects import create as create_subject


@pytest.fixture
def pets(images):
    Item.objects.bulk_create(
        Item(dataset=images, sha256=f"{n:064}", name=f"{n}.png", label="cats" if n % 2 else "dogs",
             media_type="image/png", bytes=10) for n in range(6)
    )  # fmt: skip
    return images


@pytest.fixture
def pairs(texts):
    for number in range(3):
        add_row(texts, {"prompt": f"What is {number}?", "completion": str(number)})
    return texts


def add_row(dataset, content):
    size = len(rows.canonical(content))
    made = Item.objects.create(
        dataset=dataset, sha256=rows.address(content), content=content, bytes=size, name=content["prompt"],
        media_type="application/vnd.trainhub.row+json",
    )  # fmt: skip
    Dataset.objects.filter(pk=dataset.pk).update(item_count=dataset.items.count(), byte_count=total(dataset))
    dataset.refresh_from_db()
    return made


def total(dataset):
    return dataset.items.aggregate(bytes=Sum("bytes"))["bytes"] or 0


def labels(dataset):
    """Counted beside the items; must be what counting them says."""
    counted = {row.label: row.count for row in dataset.label_counts.all()}
    there = list(dataset.items.values_list("label", flat=True))
    assert counted == {label: there.count(label) for label in set(there)}
    return counted


def test_a_label_is_changed_remembered_and_undone(pets, owner):
    assert labels(pets) == {"cats": 3, "dogs": 3}
    cats = list(pets.items.filter(label="cats").values_list("pk", flat=True))
    edit = edit_items(pets, owner, cats[:2], field="label", value="  big   cats ")
    assert (edit.count, edit.value) == (2, "big cats")
    assert labels(pets) == {"big cats": 2, "cats": 1, "dogs": 3}
    assert list(recent(pets)) == [edit]
    undone = undo(edit, owner)
    assert (undone.restored, undone.left) == (2, 0)
    assert undone.edit.undone_by == owner
    assert labels(pets) == {"cats": 3, "dogs": 3}
    again = undo(edit, owner)
    assert again.restored == 0
    assert labels(pets) == {"cats": 3, "dogs": 3}


def test_what_was_changed_again_since_is_left_and_named(pets, owner):
    first = edit_items(pets, owner, pets.items.filter(label="cats"), field="label", value="felines")
    again = pets.items.filter(label="felines").first()
    edit_items(pets, owner, [again.pk], field="label", value="lions")
    undone = undo(first, owner)
    assert (undone.restored, undone.left) == (2, 1)
    assert (undone.kept[0].item, undone.kept[0].reason) == (again.pk, "Its label was changed again since.")
    assert labels(pets) == {"cats": 2, "dogs": 3, "lions": 1}


def test_an_undo_that_could_restore_nothing_says_so_and_can_be_tried_again(pets, owner):
    one = pets.items.first()
    first = edit_items(pets, owner, [one.pk], field="caption", value="a dog")
    second = edit_items(pets, owner, [one.pk], field="caption", value="a good dog")
    with pytest.raises(ConflictError, match="changed again since"):
        undo(first, owner)
    undo(second, owner)
    undo(first, owner)
    one.refresh_from_db()
    assert one.caption == ""


def test_items_that_have_the_value_or_lie_elsewhere_are_passed_over(pets, texts, owner):
    other = add_row(texts, {"prompt": "a", "completion": "b"})
    edit = edit_items(pets, owner, [*pets.items.values_list("pk", flat=True), other.pk], field="label", value="cats")
    assert edit.count == 3
    same = edit_items(pets, owner, pets.items.all(), field="label", value="cats")
    assert (same.count, same.pk) == (0, None)
    assert Edit.objects.count() == 1
    other.refresh_from_db()
    assert other.label == ""


@pytest.mark.parametrize(
    ("field", "value", "before"),
    [("group", "room 4", ""), ("aside", "by_hand", ""), ("caption", "on a sofa", ""),
     ("metadata", {"licence": "CC0-1.0", "consent": None}, {"consent": "given", "age": 3})],
)  # fmt: skip
def test_every_plain_field_goes_and_comes_back(pets, owner, field, value, before):
    pets.items.update(**{field: before})
    edit = edit_items(pets, owner, pets.items.all(), field=field, value=value)
    expected = {"licence": "CC0-1.0", "age": 3} if field == "metadata" else value
    assert list(pets.items.values_list(field, flat=True)) == [expected] * 6
    undo(edit, owner)
    assert list(pets.items.values_list(field, flat=True)) == [before] * 6


def test_a_subject_is_given_taken_and_must_be_seen(pets, owner, stranger):
    ada, bob = create_subject(owner, name="Ada"), create_subject(owner, name="Bob")
    edit_items(pets, owner, pets.items.all()[:2], field="subject", value=ada)
    edit = edit_items(pets, owner, pets.items.all(), field="subject", value=bob.pk)
    assert (edit.count, pets.items.filter(subject=bob).count()) == (6, 6)
    undo(edit, owner)
    assert (pets.items.filter(subject=ada).count(), pets.items.filter(subject=None).count()) == (2, 4)
    assert edit_items(pets, owner, pets.items.all(), field="subject", value=None).count == 2
    with pytest.raises(NotFoundError):
        edit_items(pets, owner, pets.items.all(), field="subject", value=create_subject(stranger, name="Eve"))


def test_content_takes_address_size_and_length_with_it(pairs, owner):
    row = pairs.items.first()
    content = {"prompt": "What is nought?", "completion": "Nothing at all."}
    edit = edit_items(pairs, owner, [row.pk], field="content", value=content)
    row.refresh_from_db()
    assert (row.content, row.sha256) == (content, rows.address(content))
    pairs.refresh_from_db()
    assert pairs.byte_count == total(pairs)
    undo(edit, owner)
    row.refresh_from_db()
    pairs.refresh_from_db()
    assert (row.content, row.sha256) == ({"prompt": "What is 0?", "completion": "0"}, rows.address(row.content))
    assert pairs.byte_count == total(pairs)


def test_no_two_rows_say_the_same(pairs, owner):
    first, second, third = pairs.items.order_by("id")
    with pytest.raises(ConflictError, match="just the same"):
        edit_items(pairs, owner, [first.pk], field="content", value=second.content)
    with pytest.raises(InvalidInputError, match="one item at a time"):
        edit_items(pairs, owner, [first.pk, second.pk], field="content", value={"text": "both"})
    edit = edit_items(pairs, owner, [first.pk], field="content", value={"text": "free"})
    edit_items(pairs, owner, [third.pk], field="content", value={"prompt": "What is 0?", "completion": "0"})
    with pytest.raises(ConflictError, match="just the same"):
        undo(edit, owner)


@pytest.mark.parametrize(
    ("field", "value"),
    [("label", "x" * 201), ("label", 5), ("label", "a\x00b"), ("aside", "By hand"), ("metadata", {}),
     ("metadata", {"a": [1]}), ("metadata", {"a": "\ud800"}), ("content", {"text": " "}), ("subject", "Ada"),
     ("subject", True), ("sha256", "0" * 64)],
)  # fmt: skip
def test_values_that_no_field_can_have_are_refused(pets, owner, field, value):
    with pytest.raises(InvalidInputError):
        edit_items(pets, owner, pets.items.all(), field=field, value=value)
    assert not Edit.objects.exists()


def test_a_changed_item_begins_a_new_round_of_reviews(pets, owner):
    pets.items.update(review="approved")
    edit = edit_items(pets, owner, pets.items.filter(label="cats"), field="label", value="felines")
    assert sorted(pets.items.values_list("review", flat=True)) == ["approved"] * 3 + ["none"] * 3
    edit_items(pets, owner, pets.items.filter(label="dogs"), field="aside", value="by_hand")
    assert pets.items.filter(review="approved").count() == 3
    undo(edit, owner)
    assert pets.items.filter(review="none").count() == 3


def test_many_items_in_constant_memory(texts, owner):
    """By ids from a generator, inside one transaction."""
    import tracemalloc

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_item (dataset_id, sha256, name, label, caption, facts, metadata, \"group\", origin,"
            " review, review_round, governance, aside, media_type, bytes, created_at)"
            " SELECT %s, md5(n::text) || md5(n::text), 'row ' || n, 'class ' || n %% 7, '', '{}', '{}', '', '{}',"
            " 'none', 1, 'unchecked', '', 'application/vnd.trainhub.row+json', 10, now()"
            " FROM generate_series(1, 21000) AS n",
            [texts.pk],
        )  # fmt: skip
        # What checks foreign keys may have been planned for an empty table, and would read all of it for each row.
        cursor.execute("ANALYZE datasets_item")
    ids = (pk for pk in texts.items.values_list("pk", flat=True).iterator(2000))
    tracemalloc.start()
    edit = edit_items(texts, owner, ids, field="label", value="all")
    undone = undo(edit, owner)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (edit.count, undone.restored) == (21_000, 21_000)
    assert peak < 4 << 20
    assert {row.label: row.count for row in texts.label_counts.all()} == {f"class {n}": 3000 for n in range(7)}


def test_too_many_at_once_are_refused_and_nothing_is_changed(pets, owner, monkeypatch):
    monkeypatch.setattr(edits, "MOST", 3)
    monkeypatch.setattr(edits, "CHUNK", 2)
    with pytest.raises(InvalidInputError, match="More than 3 items"):
        edit_items(pets, owner, pets.items.all(), field="caption", value="x")
    assert not Edit.objects.exists() and not pets.items.exclude(caption="").exists()
    assert edit_items(pets, owner, pets.items.filter(label="cats"), field="caption", value="x").count == 3


def test_counts_of_labels_go_with_the_items(pets, owner):
    pets.items.filter(label="cats").delete()
    assert labels(pets) == {"dogs": 3}
    delete_dataset(pets, owner)
    assert not LabelCount.objects.exists() and not EditedItem.objects.exists()


def test_the_latest_changes_of_an_item_are_the_latest(pets, owner):
    item = pets.items.first()
    made = [edit_items(pets, owner, [item.pk], field="caption", value=f"caption {n}") for n in range(12)]
    assert [row.edit_id for row in usage.changes(item)] == [edit.pk for edit in made[:1:-1]]
