"""A template over a sheet becomes a training sheet: every row once, whatever happens to the worker."""

from __future__ import annotations

import tracemalloc

import pytest
from django.db import OperationalError
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError
from datasets import creation, tasks
from datasets.freezing import removal
from datasets.models import Dataset, Rendering
from datasets.rendering import renderings
from datasets.rendering import templates as sheet_templates
from tests.tables import MACHINES, make_table

PARTS = {
    "system": "You know machines.",
    "prompt": 'A machine of type {{ Type }} at {{ row["Air temperature [K]"]|round(1) }} K. Note: {{ note }}. '
    "Will it fail?",
    "completion": '{% if row["Machine failure"] == 1 %}Yes.{% else %}No.{% endif %}',
}


@pytest.fixture
def table(owner):
    return make_table(owner, metadata={"licence": "CC-BY-4.0"}, governed=True)


@pytest.fixture
def template(owner):
    return sheet_templates.create(owner, name="Failure", **PARTS)


def render(table, owner, template, **wanted):
    return renderings.run_rendering(renderings.start(table, owner, template, **wanted).pk)


def test_every_row_makes_a_pair_or_an_error_that_names_it(table, owner, template):
    ended = render(table, owner, template, label_column="Type")
    assert (ended.status, ended.done, ended.made, ended.failed) == ("completed", 20, 18, 2)
    assert ended.message == "18 pairs made; 2 rows made none."
    assert [error.row for error in ended.errors.all()] == [9, 19]
    assert "Prompt: 'note' is empty" in ended.errors.first().reason
    pairs = ended.target
    assert (pairs.status, pairs.item_count, pairs.modality) == ("active", 18, "text")
    assert (pairs.metadata, pairs.governed) == ({"licence": "CC-BY-4.0"}, True)
    first = pairs.items.order_by("id").first()
    assert first.content == {
        "system": "You know machines.",
        "prompt": "A machine of type L at 298.0 K. Note: note 0. Will it fail?",
        "completion": "No.",
    }
    assert first.origin == {
        "item": table.items.get().pk, "row": 0, "template": template.pk, "rendering": ended.pk,
    }  # fmt: skip
    assert (first.label, first.name, first.facts["words"]) == ("L", "table-0.csv, row 1", 18)


def test_pairs_that_were_made_are_checked_for_quality(table, owner, template):
    pairs = render(table, owner, template).target
    assert pairs.quality_runs.count() == 1


def test_chats_are_messages(table, owner):
    template = sheet_templates.create(owner, name="Chat", **PARTS, chat=True)
    item = render(table, owner, template).target.items.first()
    assert [message["role"] for message in item.content["messages"]] == ["system", "user", "assistant"]


def test_rows_that_make_the_same_pair_are_counted_as_duplicates(owner):
    table = make_table(owner, files=[MACHINES])
    template = sheet_templates.create(owner, name="Type", prompt="{{ Type }}", completion="{{ Type|lower }}")
    ended = render(table, owner, template)
    assert (ended.made, ended.failed) == (3, 17)
    assert ended.message == "3 pairs made; 17 rows made a pair that was there already."
    assert ended.errors.get(row=3).reason == "It makes the same pair as 'table-0.csv, row 1', which is there already."
    again = render(table, owner, template, target=ended.target)
    assert (again.status, again.made, again.failed) == ("completed", 0, 20)


def test_a_rendering_in_which_no_row_makes_a_pair_has_failed_in_words(owner):
    table = make_table(owner, files=[{"a": [None, None], "b": ["x", "y"]}])
    template = sheet_templates.create(owner, name="Empty", prompt="{{ a }}", completion="{{ b }}")
    ended = render(table, owner, template)
    assert ended.status == "failed"
    assert ended.message.startswith("No row made a pair. Row 1: Prompt: 'a' is empty")
    assert ended.target.status == "failed"


def test_what_does_not_fit_is_refused_before_anything_is_made(table, owner, template):
    wrong = sheet_templates.create(owner, name="Wrong", prompt="{{ Typ }}", completion="x")
    with pytest.raises(InvalidInputError, match="no column 'Typ'"):
        renderings.start(table, owner, wrong)
    with pytest.raises(InvalidInputError, match="no column 'kind' to take the label"):
        renderings.start(table, owner, template, label_column="kind")
    with pytest.raises(InvalidInputError, match="can't take pairs"):
        renderings.start(table, owner, template, target=table)
    assert list(Dataset.objects.all()) == [table]


def test_one_rendering_into_a_dataset_at_a_time(table, owner, template):
    first = renderings.start(table, owner, template)
    with pytest.raises(ConflictError, match="has not ended"):
        renderings.start(table, owner, template, target=first.target)
    assert renderings.start(table, owner, template).target.name.endswith("(2)")


def test_a_template_changed_later_changes_nothing_that_was_asked_for(table, owner, template):
    made = renderings.start(table, owner, template)
    sheet_templates.change(template, prompt="{{ Type }}", completion="{{ Type }}")
    assert renderings.run_rendering(made.pk).made == 18


class Killed(BaseException):
    pass


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_killed_worker_is_followed_by_one_that_goes_on(table, owner, template, monkeypatch, batches):
    monkeypatch.setattr(renderings, "BATCH", 6)
    write, count = renderings._write, [0]

    def dies(*arguments):
        write(*arguments)
        count[0] += 1
        if count[0] > batches:
            raise Killed

    made = renderings.start(table, owner, template)
    monkeypatch.setattr(renderings, "_write", dies)
    with pytest.raises(Killed):
        renderings.run_rendering(made.pk)
    monkeypatch.setattr(renderings, "_write", write)
    made.refresh_from_db()
    assert made.status == "running"
    assert made.done == made.target.items.count() + made.errors.count()
    assert renderings.run_rendering(made.pk) is None  # its worker may still live
    Rendering.objects.update(heartbeat_at=timezone.now() - timezone.timedelta(minutes=5))
    ended = renderings.run_rendering(made.pk)
    assert (ended.done, ended.made, ended.failed, ended.target.items.count()) == (20, 18, 2, 18)
    assert ended.target.item_count == 18
    assert sorted(item.origin["row"] for item in ended.target.items.all()) == [n for n in range(20) if n not in (9, 19)]


def test_a_worker_taken_for_dead_can_write_nothing_more(table, owner, template, monkeypatch):
    write = renderings._write
    made = renderings.start(table, owner, template)

    def overtaken(claim, *arguments):
        Rendering.objects.filter(pk=made.pk).update(attempt=7)
        write(claim, *arguments)

    monkeypatch.setattr(renderings, "_write", overtaken)
    assert renderings.run_rendering(made.pk) is None
    assert made.target.items.count() == 0


def test_a_lost_database_leaves_the_rendering_for_the_sweep(table, owner, template, monkeypatch):
    made = renderings.start(table, owner, template)

    def away(*arguments):
        raise OperationalError("gone")

    monkeypatch.setattr(renderings, "_write", away)
    with pytest.raises(OperationalError):
        renderings.run_rendering(made.pk)
    monkeypatch.undo()
    long_ago = timezone.now() - timezone.timedelta(minutes=5)
    Rendering.objects.update(heartbeat_at=long_ago, created_at=long_ago)
    assert renderings.sweep_renderings() == 1
    tasks.run_rendering(made.pk)
    made.refresh_from_db()
    assert made.status == "completed"


def test_memory_does_not_grow_with_the_rows(owner, template, monkeypatch):
    """10,000 rows of 2 KiB each would be 20 MB as Python texts."""
    rows = 10_000
    table = make_table(owner, "Long", [{"a": [f"{n} {'x' * 2000}" for n in range(rows)], "b": list(range(rows))}])
    wide = sheet_templates.create(owner, name="Long", prompt="{{ a }}", completion="{{ b }}")
    kept = []
    monkeypatch.setattr(renderings, "_write", lambda claim, made, tables: kept.append(len(made)))
    made = renderings.start(table, owner, wide)
    tracemalloc.start()
    renderings.run_rendering(made.pk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(kept) == rows
    assert peak < 16 << 20


def test_templates_are_kept_changed_and_deleted_when_unused(table, owner, template, stranger):
    with pytest.raises(ConflictError, match="called 'Failure' already"):
        sheet_templates.create(owner, name=" Failure ", **PARTS)
    sheet_templates.create(stranger, name="Failure", **PARTS)
    with pytest.raises(InvalidInputError, match="completion is empty"):
        sheet_templates.change(template, completion=" ")
    sheet_templates.change(template, name="Failures", completion="{{ note }}")
    template.refresh_from_db()
    assert (template.name, template.completion, template.prompt) == ("Failures", "{{ note }}", PARTS["prompt"])
    made = renderings.start(table, owner, template)
    with pytest.raises(ConflictError, match="made the training sheets Machines: Failures"):
        sheet_templates.delete(template)
    renderings.run_rendering(made.pk)
    creation.delete_dataset(made.target, owner)
    sheet_templates.delete(template)


def test_a_sheet_from_which_training_sheets_came_is_kept(table, owner, template):
    made = render(table, owner, template)
    with pytest.raises(ConflictError, match="training sheet"):
        creation.delete_dataset(table, owner)
    creation.delete_dataset(made.target, owner)
    creation.delete_dataset(table, owner)
    assert not Rendering.objects.exists()


def test_a_preview_shows_what_each_row_makes(table):
    tried = sheet_templates.preview(table, PARTS, numbers=[0, 9, 3], label_column="Type")
    assert [one.label for one in tried] == ["L", "", "L"]
    assert tried[1].content is None
    assert "'note' is empty" in tried[1].reason
    assert tried[2].content["completion"] == "Yes."
    assert len(sheet_templates.preview(table, PARTS, count=3)) == 3
    once, twice = (sheet_templates.preview(table, PARTS, sample="random", count=5, seed=1) for _ in range(2))
    assert [one.row.number for one in once] == [one.row.number for one in twice]
    with pytest.raises(InvalidInputError, match="no column"):
        sheet_templates.preview(table, PARTS | {"prompt": "{{ x }}"})


def test_a_table_that_is_removed_while_it_is_rendered_is_kept_until_the_end(table, owner, template):
    made = renderings.start(table, owner, template)
    copy = table.items.get().facts["parquet"]
    removal.remove_items(table, owner, table.items.all())
    ended = renderings.run_rendering(made.pk)
    assert (ended.status, ended.made) == ("completed", 18), ended.message
    assert creation.named_files([copy]) == set(), "from now on nothing keeps it"
