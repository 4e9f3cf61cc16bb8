"""Examples to try a version with come from what it was not trained on, for those alone who may see the data."""

from __future__ import annotations

import datetime as dt
import io
import json

import pytest
from django.contrib.auth.models import Group

from common.errors import NotFoundError
from common.files import store
from datasets.creation import create_dataset
from datasets.freezing import membership
from datasets.freezing.versions import freeze
from datasets.intake.imports import receive, run_import
from datasets.models import Dataset, Item
from engine.protocol import DataSpec
from registry import access, examples
from registry.examples import chosen
from tests.world import Upload, make_dataset, make_version, png


def imported(owner, modality: str, files: dict[str, bytes]) -> Dataset:
    dataset, _ = create_dataset(owner, name=f"{modality} {len(files)}", modality=modality)
    run_import(receive(dataset, owner, [Upload(name, data) for name, data in files.items()]).pk)
    dataset.refresh_from_db()
    return dataset


def frozen(owner, dataset, **split):
    return freeze(dataset, owner, **{"validation_fraction": 0.3, "test_fraction": 0.3, "seed": 3} | split)


def texts(owner):
    words = {f"{label}/{n}.txt": f"{label} number {n} ".encode() * 30 for label in ("fruit", "tool") for n in range(20)}
    return frozen(owner, make_dataset(owner, "Shopping", words))


def machines(rows: int = 60, gaps: bool = True) -> bytes:
    out = io.StringIO("")
    out.write("load,kind,power\n")
    for row in range(rows):
        out.write(f"{row % 7}.5,{'ab'[row % 2]},{'' if gaps and row % 9 == 4 else row * 2}\n")
    return out.getvalue().encode()


def days(rows: int = 200) -> bytes:
    start = dt.date(2024, 1, 1)
    lines = [f"{start + dt.timedelta(days=row)},{row % 7},{row % 3}" for row in range(rows)]
    return "\n".join(["day,sold,weather", *lines]).encode()


def about(**facts) -> dict[str, bytes]:
    return {"config.json": json.dumps({"format": 1, **facts}).encode()}


def test_five_held_out_texts_with_the_label_they_were_frozen_with(owner, django_assert_num_queries):
    data = texts(owner)
    version = make_version(owner, "Sorter", "text-classification", dataset_version=data)
    version = access.get_version(owner, version.pk)
    with django_assert_num_queries(1):
        found = examples.examples(version, owner)
    assert len(found) == 5 and {one.truth for one in found} <= {"fruit", "tool"}
    held = {pk for part in ("validation", "test") for pk in membership.ids(data, part)}
    assert {one.item.pk for one in found} <= held
    Item.objects.filter(pk=found[0].item.pk).update(label="else")
    assert examples.examples(version, owner)[0].truth == found[0].truth  # as it was frozen
    given = chosen(version, owner, found[0].key)
    assert given.text.startswith(f"{found[0].truth} number ") and given.truth == found[0].truth
    Item.objects.filter(pk=found[0].item.pk).update(aside="by_hand")
    assert found[0].key not in [one.key for one in examples.examples(version, owner)]


def test_who_may_not_see_the_data_gets_none(owner, stranger):
    version = make_version(owner, "Sorter", "text-classification", dataset_version=texts(owner))
    key = examples.examples(version, owner)[0].key
    access.make_roles()
    stranger.groups.add(Group.objects.get(name="Approvers"))  # sees every model, and no dataset of others
    assert access.get_version(stranger, version.pk) == version
    assert examples.examples(version, stranger) == []
    with pytest.raises(NotFoundError, match="no such example"):
        chosen(version, stranger, key)
    with pytest.raises(NotFoundError):
        chosen(version, owner, "999999")
    assert chosen(version, owner, "") is None


def test_where_nothing_was_held_out_or_no_data_was_there_are_none(owner):
    everything = frozen(owner, make_dataset(owner), validation_fraction=0, test_fraction=0)
    assert examples.examples(make_version(owner, "A", dataset_version=everything), owner) == []
    assert examples.examples(make_version(owner, "B"), owner) == []


def test_a_long_text_is_read_no_further_than_needed(owner, monkeypatch):
    long = {f"{n}.txt": (f"{n} word " + "and so on " * 200_000).encode() for n in range(4)}
    version = make_version(owner, dataset_version=frozen(owner, make_dataset(owner, "Long", long)))
    asked: list[int] = []
    opened = type(store()).open

    class Watched(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    def watched(self, sha256):
        with opened(self, sha256) as file:
            return Watched(file.read())

    key = examples.examples(version, owner)[0].key
    item = Item.objects.get(pk=key)
    monkeypatch.setattr(type(store()), "open", lambda self, sha: (watched if sha == item.sha256 else opened)(self, sha))
    given = chosen(version, owner, key)
    assert 0 < max(asked) < 10_000 and min(asked) > 0
    assert 100 < len(given.text) <= 300 and given.truth.strip().startswith(("and", "so", "on"))


def test_pictures_have_a_small_one_and_give_their_bytes(owner):
    files = {f"{kind}/{n}.png": png(kind, (8 + n, 8)) for kind in ("red", "blue") for n in range(12)}
    dataset = imported(owner, "image", files)
    version = make_version(owner, "P", "image-classification", dataset_version=frozen(owner, dataset))
    found = examples.examples(version, owner)
    assert len(found) == 5 and all(one.picture.endswith("/preview") for one in found)
    given = chosen(version, owner, found[0].key)
    assert given.data() in files.values() and given.truth == found[0].item.label
    Item.objects.filter(pk=found[0].item.pk).update(bytes=examples.MAX_FILE + 1)
    assert len(examples.examples(version, owner)) == 4


def test_rows_are_those_that_the_seed_held_out(owner):
    from engine.data import open_dataset
    from engine.recipes.table_baseline.config import TableBaselineConfig
    from engine.recipes.table_baseline.parts import divide
    from engine.recipes.table_baseline.roles import with_target
    from engine.tables import read_tables

    data = frozen(owner, imported(owner, "table", {"m.csv": machines()}), validation_fraction=0, test_fraction=0)
    config = TableBaselineConfig(validation_fraction=0.15, test_fraction=0.1)
    version = make_version(
        owner, "T", "table-baseline", config=config.model_dump(), dataset_version=data, seed=11
    )  # fmt: skip
    found = examples.examples(version, owner)
    table = with_target(
        read_tables(
            open_dataset(DataSpec(manifest=store().path(data.content_hash), store=store().root), "table"),
            print, lambda: None,
        ),
        "power", print,
    )  # fmt: skip
    parts = divide(table, config, 11)
    held = {float(table.columns["power"][row]) for row in [*parts.validation, *parts.test]}
    truths = [float(chosen(version, owner, one.key).truth) for one in found]
    assert len(truths) == 5 and set(truths) <= held
    assert chosen(version, owner, found[0].key).text.startswith("load,kind\n")
    grouped = TableBaselineConfig(group="kind").model_dump()
    assert (
        examples.examples(make_version(owner, "G", "table-baseline", config=grouped, dataset_version=data), owner) == []
    )


def test_rows_by_time_are_the_latest_ones(owner):
    data = frozen(owner, imported(owner, "table", {"d.csv": days()}), validation_fraction=0, test_fraction=0)
    version = make_version(
        owner, "T", "table-baseline", dataset_version=data, config={"time": "day", "target": "sold"}
    )  # fmt: skip
    found = examples.examples(version, owner)
    assert [one.title for one in found] == [f"Row {row}" for row in (200, 199, 198, 197, 196)]
    given = chosen(version, owner, found[0].key)
    assert given.text == "day,weather\n2024-07-18,1\n" and given.truth == str(199 % 7)


def test_a_series_is_given_up_to_a_place_with_what_came_then(owner):
    data = frozen(owner, imported(owner, "table", {"d.csv": days()}), validation_fraction=0, test_fraction=0)
    facts = about(
        shape={"horizon": 4, "history": 14, "width": 8}, season=7,
        columns={"targets": ["sold"], "time": "day", "series": ""},
    )  # fmt: skip
    version = make_version(owner, "F", "forecast", more=facts, dataset_version=data)
    found = examples.examples(version, owner)
    assert [one.title for one in found] == [f"After row {row}" for row in (196, 192, 188, 184, 180)]
    given = chosen(version, owner, found[0].key)
    lines = given.text.splitlines()
    assert lines[0] == "day,sold,weather" and lines[-1].startswith("2024-07-14,") and len(lines) == 1 + 19 + 16
    assert given.truth == "Then came sold: 0, 1, 2, 3."
    strange = make_version(owner, "S", "forecast", more=about(shape=4, columns=[], season="x"), dataset_version=data)
    assert examples.examples(strange, owner) == []


def test_rows_to_look_for_anomalies_in_say_which_are_known(owner):
    rows = "\n".join(["heat,odd", *(f"{row % 5},{'yes' if row == 3 else 'no'}" for row in range(80))]).encode()
    dataset = imported(owner, "table", {"a.csv": rows, "b.csv": rows.replace(b"3,no", b"3,no\n4,no")})
    data = frozen(owner, dataset, validation_fraction=0.5, test_fraction=0)
    version = make_version(owner, "A", "anomaly", dataset_version=data, config={"label": "odd"})
    (found,) = examples.examples(version, owner)
    given = chosen(version, owner, found.key)
    assert given.text.startswith("heat\n0") and given.truth == "Marked as anomalies: 4."
