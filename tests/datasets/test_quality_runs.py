"""Runs of the checks: one at a time, by themselves after an import, again after a crash; acting on findings."""

import tracemalloc
from io import StringIO
from pydoc_data.topics import topics

import pytest
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError
from datasets import claims, tasks
from datasets.apart import Processes
from datasets.creation import delete_dataset
from datasets.freezing import removal, versions
from datasets.freezing.manifests import entries
from datasets.items import edits
from datasets.models import Dataset, Finding, Fingerprint, Item, QualityRun
from datasets.quality import acts, prints, report, runs, texts
from datasets.quality.work import Look
from tests.datasets.planted import rows

STORY = "The fox saw the grapes hanging high above the wall, and went away saying that they were sour. "
CROW = "A crow who was thirsty found a jug with a little water in it, and dropped pebbles in until it rose. "


def checked(dataset, owner):
    waiting = dataset.quality_runs.filter(status="queued").first() or runs.start_run(dataset, owner)
    ended = runs.run_quality(waiting.pk)
    dataset.refresh_from_db()
    assert (ended.status, ended.message) == ("completed", "")
    return ended


def codes(dataset):
    return sorted(dataset.findings.values_list("item__name", "code"))


@pytest.fixture
def doubled(texts):
    """Four items: a story, the same in capitals, nearly the same, and another."""
    rows(texts, [{"text": text} for text in (STORY, STORY.upper(), STORY.replace("sour", "bitter"), CROW)])
    return texts


def test_findings_say_which_item_they_mean_and_take_points(doubled, owner):
    run = checked(doubled, owner)
    first = doubled.items.order_by("pk").first()
    assert codes(doubled) == [("row-1", "duplicate"), ("row-2", "near_duplicate")]
    assert set(doubled.findings.values_list("cluster", flat=True)) == {first.pk}
    assert list(doubled.items.order_by("pk").values_list("quality", flat=True)) == [100, 60, 80, 100]
    assert doubled.quality == 85 and run.score == 85
    assert run.done == run.total and run.finished_at


def test_one_run_is_open_at_a_time_and_an_empty_dataset_has_none(doubled, owner, images):
    runs.start_run(doubled, owner)
    with pytest.raises(ConflictError, match="already"):
        runs.start_run(doubled, owner)
    with pytest.raises(ConflictError, match="no items"):
        runs.start_run(images, owner)


def test_an_import_has_its_dataset_checked_unless_it_says_otherwise(texts, bring):
    bring(texts, ("a.txt", b"first " * 20), ("b.txt", b"FIRST  " * 20))
    run = texts.quality_runs.get()
    assert run.created_by is None
    bring(texts, ("c.txt", b"second " * 20))
    assert texts.quality_runs.count() == 1  # it waits already
    runs.run_quality(run.pk)
    assert texts.findings.filter(code="duplicate").count() == 1
    Dataset.objects.filter(pk=texts.pk).update(quality_by_itself=False)
    bring(texts, ("d.txt", b"third " * 20))
    assert texts.quality_runs.count() == 1


def test_items_that_came_in_meanwhile_are_looked_at_by_another_run(doubled, owner, monkeypatch):
    def look_and_add(self):
        known = Look.all
        monkeypatch.setattr(Look, "all", original)
        ended = original(self)
        monkeypatch.setattr(Look, "all", known)
        rows(doubled, [{"text": "late " + CROW}])
        return ended

    original = Look.all
    monkeypatch.setattr(Look, "all", look_and_add)
    checked(doubled, owner)
    assert doubled.quality_runs.filter(status="queued").count() == 1


def test_content_is_measured_once(doubled, owner, monkeypatch):
    assert checked(doubled, owner).summary["measured"] == 4
    measured = []
    monkeypatch.setattr(texts, "measure", lambda *given: measured.append(given))
    assert checked(doubled, owner).summary["measured"] == 0
    assert not measured and Fingerprint.objects.count() == 4


def test_a_run_whose_worker_died_is_begun_again_with_what_it_measured(doubled, owner, monkeypatch):
    run = runs.start_run(doubled, owner)
    monkeypatch.setattr(Look, "_compare", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        runs.run_quality(run.pk)
    monkeypatch.undo()
    assert Fingerprint.objects.count() == 4
    assert runs.run_quality(run.pk) is None  # another worker may still be at it
    QualityRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timezone.timedelta(minutes=2))
    ended = runs.run_quality(run.pk)
    assert (ended.status, ended.attempt, ended.summary["measured"]) == ("completed", 2, 0)
    assert codes(doubled) == [("row-1", "duplicate"), ("row-2", "near_duplicate")]


@pytest.mark.django_db(transaction=True)
def test_a_run_lives_while_it_is_inside_of_a_library(doubled, owner, monkeypatch):
    monkeypatch.setattr("datasets.claims.BEAT_SECONDS", 0.01)
    run = runs.start_run(doubled, owner)
    beats = []

    def long(board, beat):
        before = QualityRun.objects.get(pk=run.pk).heartbeat_at
        while QualityRun.objects.get(pk=run.pk).heartbeat_at == before:  # nothing but the thread beats
            pass
        beats.append(before)
        return {}, {}

    monkeypatch.setattr("datasets.quality.compare.mislabelled", long)
    assert runs.run_quality(run.pk).status == "completed" and beats


def test_a_worker_that_was_taken_for_dead_writes_nothing(doubled, owner, monkeypatch):
    run = runs.start_run(doubled, owner)
    original = Look._compare

    def lose(self):
        original(self)
        QualityRun.objects.filter(pk=run.pk).update(attempt=F("attempt") + 1)

    monkeypatch.setattr(Look, "_compare", lose)
    assert runs.run_quality(run.pk) is None
    assert not doubled.findings.exists()
    assert doubled.items.filter(quality__isnull=False).count() == 0


def test_a_run_gives_way_and_goes_on(doubled, owner, monkeypatch):
    run = runs.start_run(doubled, owner)
    monkeypatch.setattr("datasets.quality.work.SLICE_SECONDS", -1)
    monkeypatch.setattr("datasets.quality.work._others_wait", lambda: True)
    assert runs.run_quality(run.pk) is None
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("queued", 0)
    assert runs.run_quality(run.pk).status == "completed"  # nothing is left to be measured, so it does not give way


def test_what_a_person_dismissed_stays_dismissed_until_the_item_changes(doubled, owner):
    checked(doubled, owner)
    found = doubled.findings.filter(code="duplicate")
    assert acts.dismiss(doubled, owner, found) == 1
    doubled.refresh_from_db()
    assert doubled.quality == 95
    checked(doubled, owner)
    assert found.get().dismissed_by == owner and doubled.quality == 95
    edits.edit_items(doubled, owner, [found.get().item_id], field="label", value="fable")
    checked(doubled, owner)
    assert found.get().dismissed_at is None


def test_a_dismissed_finding_can_be_restored(doubled, owner):
    checked(doubled, owner)
    acts.dismiss(doubled, owner, doubled.findings.all())
    assert report.of(doubled).reasons == []
    assert acts.restore(doubled, owner, doubled.findings.all()) == 2
    assert [reason.code for reason in report.of(doubled).reasons] == ["duplicate", "near_duplicate"]


def test_all_but_one_of_each_group_are_set_aside_and_taken_back(doubled, owner):
    checked(doubled, owner)
    _, second = doubled.items.order_by("pk")[:2]
    assert acts.would_set_aside(doubled, "duplicate").items == 1
    done = acts.set_aside(doubled, owner, "duplicate", keep="first")
    second.refresh_from_db()
    assert (done.items, second.aside) == (1, "duplicate")
    doubled.refresh_from_db()
    assert doubled.quality == pytest.approx((100 + 80 + 100) / 3, abs=0.1)
    with pytest.raises(ConflictError, match="nothing left"):
        acts.set_aside(doubled, owner, "duplicate")
    acts.undo(done.edit, owner)
    second.refresh_from_db()
    assert second.aside == ""
    assert report.set_aside_lately(doubled).count() == 0


def test_the_one_that_was_kept_is_no_duplicate_any_more(texts, owner):
    rows(texts, [{"text": STORY.strip()}, {"text": STORY + "   "}, {"text": CROW}])
    checked(texts, owner)
    Item.objects.filter(dataset=texts, name="row-1").update(characters=500)  # the larger one is kept
    done = acts.set_aside(texts, owner, "duplicate", keep="best")
    assert list(texts.items.exclude(aside="").values_list("name", flat=True)) == ["row-0"]
    checked(texts, owner)
    assert report.of(texts).reasons == [] and texts.quality == 100
    acts.undo(done.edit, owner)
    checked(texts, owner)
    assert [reason.code for reason in report.of(texts).reasons] == ["duplicate"]


def test_the_best_of_a_group_is_the_one_with_the_fewest_other_faults(texts, owner):
    faulty = STORY + "Write to fox@example.org. "
    rows(texts, [{"text": faulty}, {"text": STORY + "Write to the fox, please do. "}, {"text": CROW}])
    checked(texts, owner)
    assert ("row-0", "personal_data") in codes(texts) and ("row-1", "near_duplicate") in codes(texts)
    acts.set_aside(texts, owner, "near_duplicate", keep="best")
    assert list(texts.items.exclude(aside="").values_list("name", flat=True)) == ["row-0"]


def test_an_unknown_code_and_one_of_the_whole_dataset_are_refused(doubled, owner):
    for code in ("nonsense", "class_imbalance"):
        with pytest.raises(InvalidInputError):
            acts.set_aside(doubled, owner, code)


def test_items_set_aside_are_not_compared(doubled, owner):
    ids = doubled.items.order_by("pk").values_list("pk", flat=True)[:1]
    edits.edit_items(doubled, owner, list(ids), field="aside", value="by_hand")
    checked(doubled, owner)
    assert codes(doubled) == [("row-2", "near_duplicate")]


def test_a_leak_is_told_by_the_newest_version(doubled, owner):
    version = versions.freeze(doubled, owner, validation_fraction=0.4, test_fraction=0.3)
    parts = {int(entry["id"]): entry["split"] for entry in entries(version.content_hash)}
    order = ["train", "validation", "test"]
    alike = list(doubled.items.order_by("pk").values_list("pk", flat=True)[:3])
    last = max(order.index(parts[pk]) for pk in alike)
    expected = {pk for pk in alike if order.index(parts[pk]) < last}
    checked(doubled, owner)
    assert set(doubled.findings.filter(code="leak").values_list("item", flat=True)) == expected != set()


def test_an_item_deleted_meanwhile_is_left_out(doubled, owner, monkeypatch):
    original = Look._compare

    def shrink(self):
        original(self)
        Item.objects.filter(dataset=doubled, name="row-1").delete()

    monkeypatch.setattr(Look, "_compare", shrink)
    checked(doubled, owner)
    assert Finding.objects.filter(code="duplicate").count() == 0


def test_fingerprints_of_content_that_is_gone_are_forgotten(doubled, owner):
    checked(doubled, owner)
    assert prints.forget_unused() == 0
    delete_dataset(doubled, owner)
    assert not Finding.objects.exists() and not QualityRun.objects.exists()
    assert prints.forget_unused() == 4


def test_what_is_said_of_the_whole_dataset_takes_from_its_score(texts, owner):
    contents = [{"text": text[:500]} for text in list(topics.values())[:40]]
    rows(texts, contents, ["much"] * 36 + ["little"] * 3 + [""])
    run = checked(texts, owner)
    assert [entry["code"] for entry in run.summary["whole"]] == ["class_imbalance", "small_class", "unlabelled"]
    mean = sum(texts.items.values_list("quality", flat=True)) / 40
    assert texts.quality == pytest.approx(mean - 20, abs=0.1)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["ham"] * 40 + ["spam"] * 8 + ["notes"], ["small_class"]),  # a stray file in a folder of its own
        (["ham"] * 66 + ["spam"] * 6 + ["notes"], ["class_imbalance", "small_class"]),
        ([""] * 60 + ["readme"], []),
        ([""] * 60 + ["one", "two"] * 5, ["unlabelled"]),
    ],
)
def test_a_stray_item_says_nothing_of_the_others(texts, owner, labels, said):
    rows(
        texts,
        [{"text": f"{number} {text[:300]}"} for number, text in enumerate(topics.values())][: len(labels)],
        labels,
    )
    assert [entry["code"] for entry in checked(texts, owner).summary["whole"]] == said


def test_an_emoji_is_an_answer(texts, owner):
    answers = ["- 😌😊", "👍", "...", "—", "42", "?!"]
    rows(texts, [{"prompt": f"How was it, {n}?", "completion": answer} for n, answer in enumerate(answers)])
    checked(texts, owner)
    empty = texts.findings.filter(code="no_answer").values_list("item__content__completion", flat=True)
    assert sorted(empty) == ["...", "?!", "—"]


def test_a_long_check_gets_a_process_of_its_own_and_a_short_one_does_not(doubled, owner, monkeypatch):
    started = []
    monkeypatch.setattr(runs.PROCESSES, "start", started.append)
    short = runs.start_run(doubled, owner)
    tasks.run_quality(short.pk)
    short.refresh_from_db()
    assert short.status == "completed" and not started
    for large in ({"item_count": 501}, {"item_count": 4, "byte_count": 11 << 20}):
        Dataset.objects.filter(pk=doubled.pk).update(**large)
        run = runs.start_run(doubled, owner)
        tasks.run_quality(run.pk)
        run.refresh_from_db()
        assert run.status == "queued" and started.pop() == run.pk
        assert runs.run_quality(run.pk, alone=True).status == "completed"


def test_the_process_of_a_long_check_takes_the_next_one_and_gives_way_to_nobody(doubled, owner, images, monkeypatch):
    monkeypatch.setattr("datasets.quality.work.SLICE_SECONDS", -1)
    monkeypatch.setattr("datasets.quality.work._others_wait", lambda: True)
    monkeypatch.setattr("os.nice", lambda by: None)
    monkeypatch.setattr("datasets.management.commands.run_quality.set_name", lambda name: None)
    other = Dataset.objects.create(owner=owner, name="more", modality="text")
    rows(other, [{"text": STORY}, {"text": CROW}])
    Dataset.objects.update(item_count=501)
    waiting = [runs.start_run(dataset, owner).pk for dataset in (doubled, other)]
    call_command("run_quality", waiting[0], "--stay", stdout=StringIO())
    assert set(QualityRun.objects.filter(pk__in=waiting).values_list("status", flat=True)) == {"completed"}


def test_no_more_processes_are_started_than_may_run(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.apart.PROJECT", tmp_path)
    (tmp_path / "manage.py").write_text("import sys, time; time.sleep(60 if sys.argv[2] == '1' else 0)")
    processes = Processes("run_quality", at_once=1)
    assert processes.start(1) and not processes.start(2)
    [child] = processes._children
    child.kill()
    child.wait()
    assert processes.start(2)
    processes._children[0].wait()
    (tmp_path / "manage.py").unlink()


def test_the_score_comes_back_when_all_items_were_set_aside_and_taken_back(doubled, owner):
    checked(doubled, owner)
    edit = edits.edit_items(doubled, owner, doubled.items.all(), field="aside", value="by_hand")
    doubled.refresh_from_db()
    assert doubled.quality is None
    edits.undo(edit, owner)
    doubled.refresh_from_db()
    assert doubled.quality == 85


def test_the_score_is_that_of_the_items_that_are_left_when_some_are_removed(doubled, owner):
    checked(doubled, owner)
    removal.remove_items(doubled, owner, doubled.items.filter(quality__lt=100))
    assert doubled.quality == 100


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_change_during_a_check_has_another_one_follow(doubled, owner, monkeypatch, status):
    """It may have looked at what was changed already; one that waits has not."""
    checked(doubled, owner)
    second = runs.start_run(doubled, owner)
    original = Look._write

    def act_then_write(self):
        monkeypatch.setattr(Look, "_write", original)
        acts.set_aside(doubled, owner, "duplicate")
        original(self)

    if status == "running":
        monkeypatch.setattr(Look, "_write", act_then_write)
    else:
        acts.set_aside(doubled, owner, "duplicate")
    assert runs.run_quality(second.pk).status == "completed"
    waiting = doubled.quality_runs.filter(status="queued")
    assert waiting.count() == (status == "running")
    for run in waiting.all():
        runs.run_quality(run.pk)
        assert not waiting.all().exists(), "it is followed once"


def test_rows_that_are_taken_back_during_a_check_are_looked_at_by_another(doubled, owner):
    run = runs.start_run(doubled, owner)
    claims.take(QualityRun, run.pk)
    assert runs.ask(doubled, owner) is None
    run.refresh_from_db()
    assert run.again


def scattered(dataset, rows):
    item = Item.objects.create(
        dataset=dataset, sha256="7" * 64, name="a.csv", bytes=1, media_type="text/csv", facts={"rows": 100_000}
    )
    made = (Finding(dataset=dataset, item=item, row=row, code="duplicate_row", points=40, reason="") for row in rows)
    Finding.objects.bulk_create(made, 5000)
    Finding.objects.create(dataset=dataset, item=item, row=rows[0], code="outlier", points=1, reason="")
    Finding.objects.create(dataset=dataset, item=item, row=rows[-1] + 1, code="outlier", points=1, reason="")
    return item


def test_rows_of_a_table_are_set_aside_as_ranges_in_little_memory(owner):
    table = Dataset.objects.create(owner=owner, name="rows", modality="table", status="active", item_count=1)
    item = scattered(table, range(30_000, 70_000))
    tracemalloc.start()
    assert acts.set_aside(table, owner, "duplicate_row").rows == 40_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 << 20, "pairs of all items and rows took 8 MiB"
    item.refresh_from_db()
    assert item.facts["aside_rows"] == [[30_000, 70_000]]
    assert list(table.findings.values_list("code", "row")) == [("outlier", 70_000)]
    assert acts.take_rows_back(table, owner, "duplicate_row").rows == 40_000


def test_rows_in_too_many_places_are_refused_in_words(owner, monkeypatch):
    table = Dataset.objects.create(owner=owner, name="rows", modality="table", status="active", item_count=1)
    monkeypatch.setattr(acts, "MOST_RANGES", 3)
    item = scattered(table, range(0, 8, 2))
    with pytest.raises(ConflictError, match="too many such rows"):
        acts.set_aside(table, owner, "duplicate_row")
    item.refresh_from_db()
    assert "aside_rows" not in item.facts and table.findings.count() == 6
