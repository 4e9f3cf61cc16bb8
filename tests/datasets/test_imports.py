"""An import keeps the good files, gives a reason for each other one, and survives whatever kills it."""

from __future__ import annotations

import resource
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError, TooLargeError, UnavailableError
from common.files import Batch, store
from datasets import claims, limits
from datasets.freezing.versions import freeze
from datasets.intake import imports, spool, worker
from datasets.intake.imports import create_dataset, delete_dataset, receive, run_import, start_import, sweep_imports
from datasets.models import Dataset, Import, Item, Refusal
from tests.datasets.conftest import File, picture
from tests.datasets.test_archives import tarred, zipped


def waiting(dataset, owner, count=10) -> Import:
    return receive(dataset, owner, [File(f"cats/{number}.png", picture(number)) for number in range(count)])


@pytest.fixture
def sent(monkeypatch):
    """What is put on the background queue."""
    calls = []
    monkeypatch.setattr(imports, "enqueue", lambda function, *arguments: calls.append((function, *arguments)))
    monkeypatch.setattr(claims, "enqueue", lambda function, *arguments: calls.append((function, *arguments)))
    return calls


def test_good_files_are_kept_and_the_others_get_a_reason(images, bring, nothing_left):
    ended = bring(
        images,
        ("pets/cats/1.png", picture(1)), ("pets/dogs/2.png", picture(2)), ("pets/dogs/3.png", b"no picture"),
        ("pets/dogs/.DS_Store", b"junk"), ("4.png", picture(4)),
    )  # fmt: skip
    assert (ended.status, ended.total, ended.done, ended.accepted, ended.set_aside) == ("completed", 4, 4, 3, 1)
    assert ended.message == "3 items added, 1 set aside." and ended.hint
    assert list(images.items.values_list("name", "label")) == [
        ("pets/cats/1.png", "cats"), ("pets/dogs/2.png", "dogs"), ("4.png", ""),
    ]  # fmt: skip
    assert (images.status, images.item_count) == ("active", 3)
    assert images.byte_count == sum(images.items.values_list("bytes", flat=True))
    nothing_left()


def test_archives_and_loose_files_come_in_together(images, bring, nothing_left):
    ended = bring(
        images, ("a.zip", zipped(("cats/1.png", picture(1)))),
        ("b.tar.gz", tarred(("x/dogs/2.png", picture(2)), mode="w:gz")),
        ("cats/3.png", picture(3)), ("c.zip", b"PK\x03\x04 broken"), ("d.zip", zipped(("../e.png", picture(4)))),
    )  # fmt: skip
    assert (ended.status, ended.accepted, ended.set_aside) == ("completed", 3, 2)
    assert list(images.items.values_list("label", flat=True)) == ["cats", "dogs", "cats"]
    assert list(ended.refusals.values_list("name", "code")) == [
        ("c.zip", "corrupt_archive"), ("d.zip", "unsafe_archive"),
    ]  # fmt: skip
    nothing_left()


def test_the_same_file_twice_is_one_item(images, bring):
    ended = bring(images, ("cats/a.png", picture(1)), ("cats/b.png", picture(1)))
    assert ended.accepted == 1
    assert (ended.refusals.get().code, ended.refusals.get().name) == ("duplicate", "cats/b.png")
    assert "'cats/a.png'" in ended.refusals.get().reason
    again = bring(images, ("cats/c.png", picture(1)))
    assert (again.status, again.accepted, images.item_count) == ("completed", 0, 1)
    assert again.message.startswith("Nothing new")


def test_one_picture_in_two_classes_is_a_contradiction(images, bring):
    ended = bring(images, ("cats/a.png", picture(1)), ("dogs/a.png", picture(1)))
    assert ended.refusals.get().code == "contradicting_label"
    assert "'cats' and not 'dogs'" in ended.refusals.get().reason


def test_an_import_that_keeps_nothing_fails_and_says_why(images, bring, nothing_left):
    ended = bring(images, *((f"{number}.png", b"text") for number in range(3)), ("empty.png", b""))
    assert (ended.status, images.status) == ("failed", "failed")
    assert ended.message.startswith("None of the 4 files could be used. 3 of them: Its content is text, not a picture")
    assert "JPEG" in ended.hint
    nothing_left()


def test_a_failed_import_leaves_a_filled_dataset_active(images, bring):
    bring(images, ("a.png", picture()))
    assert bring(images, ("b.png", b"")).status == "failed"
    assert images.status == "active"


def test_names_of_uploads_never_become_paths(images, bring, nothing_left):
    bring(images, ("../../../canary.txt", picture(1)), ("/etc/cats/passwd", picture(2)), ("a" * 5000, picture(3)))
    assert list(images.items.values_list("name", flat=True)[:2]) == ["canary.txt", "etc/cats/passwd"]
    nothing_left()


def test_an_upload_is_queued_when_its_rows_are_there(images, owner, sent):
    made = start_import(images, owner, [File("a.png", picture())])
    images.refresh_from_db()
    assert (made.status, images.status) == ("queued", "processing")
    assert sent == [("datasets.tasks.run_import", made.pk)]


def test_uploads_that_can_not_be_taken_leave_nothing(images, owner, home, monkeypatch):
    with pytest.raises(InvalidInputError):
        start_import(images, owner, [])
    with pytest.raises(InvalidInputError):
        start_import(images, owner, [File("a.png", b"x")], ["a", "b"])
    monkeypatch.setattr(limits, "MAX_UPLOAD_BYTES", 10)
    with pytest.raises(TooLargeError):
        start_import(images, owner, [File("a.png", b"x" * 11)])
    assert list((home / "uploads").iterdir()) == []
    assert not Import.objects.exists()


def test_more_files_than_an_import_may_have_are_refused(images, bring, monkeypatch):
    monkeypatch.setattr(limits, "MAX_FILES", 2)
    ended = bring(images, *((f"{number}.png", picture(number)) for number in range(3)))
    assert (ended.accepted, ended.refusals.get().code) == (2, "too_many_files")


def test_a_worker_that_dies_between_two_batches_is_taken_over_without_doubling(
    images, owner, monkeypatch, nothing_left, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(worker, "BATCH_FILES", 3)
    made = waiting(images, owner)
    write, batches = worker._Batch._write_rows, []

    def dies(batch):
        if len(batches) == 2:
            raise SystemExit  # as a kill: nobody catches it, nothing is recorded
        batches.append(batch)
        write(batch)

    monkeypatch.setattr(worker._Batch, "_write_rows", dies)
    with pytest.raises(SystemExit):
        run_import(made.pk)
    made.refresh_from_db()
    assert (made.status, made.done, images.items.count()) == ("running", 6, 6)
    assert run_import(made.pk) is None, "its heartbeat is fresh, so it may still live"

    monkeypatch.setattr(worker._Batch, "_write_rows", write)
    Import.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=61))
    with django_capture_on_commit_callbacks(execute=True):
        ended = run_import(made.pk)
    assert (ended.status, ended.accepted, ended.set_aside, ended.attempt) == ("completed", 10, 0, 2)
    assert images.items.count() == 10
    nothing_left()


def test_a_worker_that_was_taken_for_dead_can_write_nothing(images, owner, monkeypatch):
    monkeypatch.setattr(worker, "BATCH_FILES", 3)
    made = waiting(images, owner)
    write = worker._Batch._write_rows

    def slow(batch):
        Import.objects.filter(pk=made.pk).update(attempt=99)  # another worker took it over meanwhile
        write(batch)

    monkeypatch.setattr(worker._Batch, "_write_rows", slow)
    assert run_import(made.pk) is None
    made.refresh_from_db()
    assert (made.status, made.done, images.items.count()) == ("running", 0, 0)


def test_an_import_that_kills_every_worker_ends(images, owner):
    made = waiting(images, owner)
    Import.objects.update(attempt=5, status="running", heartbeat_at=timezone.now() - timedelta(minutes=5))
    ended = run_import(made.pk)
    assert ended.status == "failed" and "given up" in ended.message and ended.hint


def test_a_full_disk_ends_it_in_words(images, owner, monkeypatch):
    made = waiting(images, owner)

    def full(_):
        raise UnavailableError("The disk that holds TrainHub's files is full.", "Free some space.")

    monkeypatch.setattr("common.files.Draft.sync", full)
    ended = run_import(made.pk)
    assert (ended.status, ended.message, ended.hint) == (
        "failed", "The disk that holds TrainHub's files is full.", "Free some space.",
    )  # fmt: skip
    assert not list(store().temporary_folder().iterdir())


def test_lost_uploads_end_it_in_words(images, owner):
    made = waiting(images, owner)
    spool.remove(made.pk)
    assert "gone" in run_import(made.pk).message


def test_one_dataset_takes_one_import_at_a_time(images, owner, sent):
    first, second = waiting(images, owner), receive(images, owner, [File("dogs/1.png", picture(100))])
    Import.objects.filter(pk=first.pk).update(status="running", heartbeat_at=timezone.now(), attempt=1)
    assert run_import(second.pk) is None
    Import.objects.filter(pk=first.pk).update(status="queued")
    run_import(first.pk)
    images.refresh_from_db()
    assert images.status == "processing", "another import waits"
    assert sent == [("datasets.tasks.run_import", second.pk)]
    run_import(second.pk)
    images.refresh_from_db()
    assert (images.status, images.item_count) == ("active", 11)


def test_the_sweep_asks_again_for_what_nobody_took(images, owner, sent):
    fresh = waiting(images, owner)
    other, _ = create_dataset(owner, name="other", modality="image")
    old = waiting(other, owner)
    Import.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(seconds=31))
    assert sweep_imports() == 1 and sweep_imports() == 0, "not again at once"
    assert sent == [("datasets.tasks.run_import", old.pk)]
    assert fresh.pk != old.pk


def test_the_sweep_has_an_import_of_a_dead_worker_taken_up(images, owner, sent):
    made = waiting(images, owner)
    ago = timezone.now() - timedelta(seconds=70)
    Import.objects.update(status="running", heartbeat_at=ago, created_at=ago, attempt=1)
    assert sweep_imports() == 1
    assert run_import(made.pk).status == "completed"


def test_the_sweep_removes_what_killed_processes_left(images, owner, home, sent):
    made = waiting(images, owner)
    (home / "uploads" / "incoming-dead").write_bytes(b"half an upload")
    (home / "uploads" / "4711").mkdir()
    (home / "uploads" / "4711" / "pack").write_bytes(b"of an import that is no more")
    living = spool.Pack()
    sweep_imports()
    assert {path.name for path in (home / "uploads").iterdir()} == {str(made.pk), living.path.name}
    living.close()


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_bring_every_file_once(images, owner):
    made = waiting(images, owner, 300)
    results = []

    def run():
        results.append(run_import(made.pk))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result is not None for result in results) == 1
    assert Item.objects.count() == 300
    assert Dataset.objects.get().item_count == 300


def test_ten_thousand_small_pictures_come_in_with_constant_memory(images, bring, capsys):
    files = [(f"set/{number % 10}/{number}.png", picture(number)) for number in range(10_000)]
    data = zipped(*files)
    del files
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = bring(images, ("set.zip", data))
    seconds = time.monotonic() - started
    assert (ended.accepted, ended.set_aside, images.item_count) == (10_000, 0, 10_000)
    with capsys.disabled():
        print(f"\n10,000 pictures in {seconds:.1f} s: {10_000 / seconds:,.0f} files/s")
    assert seconds < 90, "far slower than any machine seen so far"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80 * 1024


def test_deleting_frees_what_nothing_else_needs(images, bring, owner, home, nothing_left):
    other, _ = create_dataset(owner, name="other", modality="image")
    bring(images, ("a.png", picture(1)), ("b.png", picture(2)), ("c.png", b""))
    bring(other, ("shared.png", picture(2)))
    freeze(images, owner)
    size = len(picture(1))
    freed = delete_dataset(images, owner)
    assert freed > size, "the picture and the manifest"
    assert not Refusal.objects.exists()
    assert [item.name for item in Item.objects.all()] == ["shared.png"]
    assert store().verify(other.items.get().sha256)
    nothing_left()


def test_what_a_job_used_can_not_be_deleted(images, bring, owner):
    from jobs.models import Job

    bring(images, ("a.png", picture(1)))
    Job.objects.create(owner=owner, name="x", recipe="image-classification", dataset_version=freeze(images, owner))
    with pytest.raises(ConflictError) as caught:
        delete_dataset(images, owner)
    assert "used by 1 job" in caught.value.message and caught.value.hint
    assert images.items.count() == 1 and store().verify(images.items.get().sha256)


def test_a_dataset_deleted_during_its_import_stops_it(images, owner, monkeypatch, home, sent):
    made = waiting(images, owner)
    sync = Batch.sync

    def deleted(files):
        sync(files)
        delete_dataset(images, owner)

    monkeypatch.setattr(Batch, "sync", deleted)
    assert run_import(made.pk) is None
    sweep_imports()
    assert list((home / "uploads").iterdir()) == []
    assert not [path for path in (home / "store").rglob("*") if path.is_file()]


def test_the_same_request_twice_makes_one_dataset(owner):
    first, created = create_dataset(owner, name="a", modality="text", idempotency_key="k")
    again, created_again = create_dataset(owner, name="a", modality="text", idempotency_key="k")
    assert (first, created, created_again) == (again, True, False)
    with pytest.raises(ConflictError):
        create_dataset(owner, name="b", modality="text", idempotency_key="k")
    with pytest.raises(ConflictError) as caught:
        create_dataset(owner, name="a", modality="text")
    assert "name" in caught.value.fields


def test_samples_are_made_once(owner):
    from datasets.samples import ensure_samples

    made = ensure_samples(owner)
    assert [(dataset.modality, dataset.status) for dataset in made] == [("text", "active"), ("image", "active")]
    assert made[1].item_count > 1700 and made[1].items.values("label").distinct().count() == 10
    assert made[0].byte_count > 400_000
    assert ensure_samples(owner) == made
    assert Import.objects.count() == 2
