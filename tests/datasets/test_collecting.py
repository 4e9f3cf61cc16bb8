"""The collector frees what nothing names, and never what something names or is about to name."""

from __future__ import annotations

import os
import threading
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from common.files import store
from common.references import hold_store
from datasets import collecting
from datasets.freezing import versions
from datasets.intake.imports import create_dataset
from datasets.models import Item
from tests.datasets.conftest import picture
from tests.world import make_version


@pytest.fixture(autouse=True)
def no_age(monkeypatch):
    """Files need not be a day old here."""
    monkeypatch.setattr(collecting, "DAY", -60.0)


@pytest.fixture
def orphan(home):
    return store().add(b"left by a killed writer").sha256


def test_only_what_nothing_names_is_freed(bring, images, owner, home, orphan):
    bring(images, ("cats/1.png", picture(1)), ("dogs/2.png", picture(2)))
    version = versions.freeze(images, owner)
    artifact = make_version(owner)
    before = {path.name for path in store().root.rglob("*") if path.is_file()}
    dry = collecting.collect(dry_run=True)
    assert (dry.seen, dry.files, dry.bytes) == (len(before), 1, len(b"left by a killed writer"))
    assert store().exists(orphan)
    assert collecting.collect() == dry
    assert {path.name for path in store().root.rglob("*") if path.is_file()} == before - {orphan}
    assert store().exists(version.content_hash) and store().exists(artifact.artifact[0]["sha256"])


def test_a_young_file_stays(home, db, orphan, monkeypatch):
    monkeypatch.undo()
    assert collecting.collect().seen == 0 and store().exists(orphan)


def test_what_a_version_names_stays_whatever_became_of_the_item(bring, images, owner, home):
    bring(images, ("cats/1.png", picture(1)))
    versions.freeze(images, owner)
    [sha256] = images.items.values_list("sha256", flat=True)
    Item.objects.all().delete()
    assert collecting.collect().files == 0 and store().exists(sha256)


def test_without_a_manifest_nothing_is_deleted(bring, images, owner, home, orphan):
    bring(images, ("cats/1.png", picture(1)))
    store().remove(versions.freeze(images, owner).content_hash)
    with pytest.raises(CommandError, match="missing from the store"):
        call_command("collect")
    assert store().exists(orphan)


def test_the_command_says_how_much_it_freed(home, db, orphan, monkeypatch):
    assert "would be freed" in said("--dry-run") and store().exists(orphan)
    assert "1 of them are named by nothing: 23 B are free again" in said()
    monkeypatch.undo()
    assert "0 files older than a day" in said()


def said(*arguments):
    out = StringIO()
    call_command("collect", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_writer_at_the_same_moment_keeps_its_file(owner, home):
    """The collector has counted the file as one of nobody; a writer names it before the collector deletes."""
    dataset = create_dataset(owner, name="pets", modality="image")[0]
    stored = store().add(picture(1))
    named, go = threading.Event(), threading.Event()

    def write():
        with transaction.atomic():
            hold_store()
            Item.objects.create(
                dataset=dataset, sha256=stored.sha256, bytes=stored.bytes, name="1.png", media_type="image/png"
            )
            named.set()
            go.wait(10)
        connection.close()

    writer = threading.Thread(target=write)
    look = collecting._named_by_versions

    def in_between(orphans):
        assert stored.sha256 in orphans
        writer.start()
        assert named.wait(10)
        threading.Timer(0.2, go.set).start()
        return look(orphans)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting, "_named_by_versions", in_between)
        found = collecting.collect()
    writer.join()
    assert store().exists(stored.sha256) and found.bytes == 0


def test_the_sweep_asks_once_a_day(home, db, monkeypatch):
    asked = []
    monkeypatch.undo()
    monkeypatch.setattr(collecting, "enqueue", asked.append)
    assert collecting.sweep_store() and not collecting.sweep_store()
    marker = home / collecting.MARKER
    os.utime(marker, (time.time() - 2 * collecting.DAY,) * 2)
    assert collecting.sweep_store() and len(asked) == 2
