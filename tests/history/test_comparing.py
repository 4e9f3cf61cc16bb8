"""Runs side by side: what differs is told, what is equal is counted, and the better one is marked."""

from datetime import timedelta

import pytest
from django.utils import timezone

from common.errors import InvalidInputError, NotFoundError
from datasets.freezing.versions import freeze
from history.comparing import comparison, figures, parallel, runs, tables
from history.recording import record_reported
from tests.history.runs import START, attempt, ended
from tests.world import Upload, make_dataset, make_job, make_version

CONFIG = {"width": 64, "layers": 2, "dropout": 0.1, "batch_size": 8}


def compared(user, *jobs):
    return comparison.compare(runs.find(user, [str(job.pk) for job in jobs]))


def cells(table):
    return {row.name: [cell.value for cell in row.cells] for row in table.rows}


def test_only_settings_that_differ_are_told_and_the_equal_ones_counted(owner):
    one = ended(owner, recipe="text-generation", config=CONFIG)
    two = ended(owner, recipe="text-generation", config=CONFIG | {"width": 128})
    found = compared(owner, one, two).settings
    assert cells(found) == {"width": [64, 128]}
    assert (found.equal, found.left_out) == (3, 0)
    assert found.rows[0].title == "Width"


def test_a_setting_that_is_its_default_says_so_and_a_missing_one_names_the_default(owner):
    one = ended(owner, recipe="text-generation", config={"dropout": 0.5})
    two = ended(owner, recipe="text-generation", config={"dropout": 0.1, "layers": 2})
    found = {row.name: row.cells for row in compared(owner, one, two).settings.rows}
    assert [cell.note for cell in found["dropout"]] == ["", "default" if _default("dropout") == 0.1 else ""]
    missing, given = found["layers"]
    assert (missing.there, missing.value) == (False, None)
    assert missing.note == f"not set, default {_default('layers')}"
    assert given.there


def _default(name):
    from engine.catalogue import config_class

    return config_class("text-generation").model_fields[name].default


def test_a_number_that_is_whole_in_one_run_alone_is_no_difference(owner):
    found = compared(owner, ended(owner, config={"steps": 1}), ended(owner, config={"steps": 1.0}))
    assert found.settings.rows == []


def test_yes_is_not_one(owner):
    found = compared(owner, ended(owner, config={"own": True}), ended(owner, config={"own": 1}))
    assert cells(found.settings) == {"own": [True, 1]}


def test_runs_of_different_recipes_compare_what_they_share_and_say_so(owner):
    one = ended(owner, recipe="text-generation", config={"batch_size": 8, "block_size": 32})
    two = ended(owner, recipe="image-classification", config={"batch_size": 16, "image_size": 32})
    found = compared(owner, one, two)
    assert cells(found.settings) == {"batch_size": [8, 16]}
    assert found.settings.left_out == 2
    assert "different recipes" in found.notes[0]
    assert cells(found.course)["recipe"] == ["Text generation", "Image classification"]


def test_the_better_figure_is_marked_by_the_goal_of_the_recipe(owner):
    good = {"validation/accuracy": 0.9, "validation/loss": 0.5, "validation/other": 3}
    poor = {"validation/accuracy": 0.8, "validation/loss": 0.4, "validation/other": 2}
    jobs = [ended(owner, recipe="image-classification", metrics=metrics) for metrics in (poor, good)]
    found = {figure.name: figure for figure in compared(owner, *jobs).figures}
    assert next(iter(found)) == "validation/accuracy"
    assert found["validation/accuracy"].leaders == [False, True]
    assert found["validation/loss"].leaders == [True, False]
    assert found["validation/other"].better is None
    assert found["validation/other"].leaders == [False, False]


def test_equal_figures_mark_nobody(owner):
    jobs = [ended(owner, metrics={"validation/loss": 0.5}) for _ in range(2)]
    assert compared(owner, *jobs).figures[0].leaders == [False, False]


def test_which_way_is_better_is_not_known_where_recipes_disagree():
    assert figures.better("validation/accuracy", ["image-classification"]) == "higher"
    assert figures.better("validation/accuracy", ["image-classification", "simulate"]) is None
    assert figures.better("validation/accuracy", ["image-classification", "text-classification"]) == "higher"
    assert figures.better("train/loss", ["image-classification"]) == "lower"
    assert figures.better("validation/loss", ["text-generation", "simulate"]) is None  # each has a loss of its own
    assert figures.better("baseline/loss", ["simulate"]) is None


def test_the_best_value_on_the_way_is_told_with_its_step(owner):
    one = ended(owner, curves={"validation/loss": [3.0, 1.0, 2.0]}, metrics={"validation/loss": 2.0})
    two = ended(owner, curves={"validation/loss": [3.0, 2.5, 1.5, 1.5]}, status="failed")
    found = compared(owner, one, two).figures[0]
    assert [(value.value, value.step) for value in found.best] == [(1.0, 2), (1.5, 3)]
    assert found.best_leaders == [True, False]
    assert [value.value for value in found.last] == [2.0, 1.5]


def test_what_was_measured_on_a_sample_is_said_to_be_and_never_marked(owner):
    loss = "validation/loss"
    jobs = [
        ended(
            owner,
            recipe="text-generation",
            curves={loss: [4.0, way], "train/loss": [4.0, way]},
            metrics={loss: end, f"best/{loss}": way},
        )
        for way, end in ((3.396, 3.409), (3.405, 3.39))
    ]
    found = {figure.name: figure for figure in compared(owner, *jobs).figures}
    assert found[loss].sample and not found["train/loss"].sample
    assert (found[loss].leaders, found[loss].best_leaders) == ([False, True], [False, False])
    assert found["train/loss"].best_leaders == [True, False]
    assert found[f"best/{loss}"].title == "Best validation loss on the way, from a sample"


def test_a_result_is_not_marked_beside_what_a_run_measured_on_the_way(owner):
    loss = "validation/loss"
    whole = ended(owner, recipe="text-generation", curves={loss: [4.0]}, metrics={loss: 3.4})
    failed = ended(owner, recipe="text-generation", curves={loss: [3.3]}, status="failed")
    assert compared(owner, whole, failed).figures[0].leaders == [False, False]


def test_figures_of_other_items_are_not_marked_and_the_page_says_why(owner):
    one = freeze(make_dataset(owner, "One"), owner)
    two = freeze(make_dataset(owner, "Two", {"x.txt": b"quite another text " * 9}), owner)
    jobs = [
        ended(owner, dataset_version=data, metrics={"validation/loss": loss}, config={"rate": loss})
        for data, loss in ((one, 1.0), (two, 2.0), (two, 3.0))
    ]
    found = compared(owner, *jobs)
    assert found.figures[0].better == "lower" and found.figures[0].leaders == [False] * 3
    assert "none is marked" in found.notes[0]
    assert parallel.pictures(found) == []
    assert compared(owner, *jobs[1:]).figures[0].leaders == [True, False]


def test_of_a_run_without_data_nothing_is_said_of_data(owner):
    trained = ended(owner, dataset_version=freeze(make_dataset(owner), owner))
    assert compared(owner, trained, ended(owner)).notes == []


def test_a_run_that_ended_in_no_number_is_told_and_never_the_best(owner):
    one = ended(owner, curves={"train/loss": [1.0, None]}, status="failed")
    two = ended(owner, curves={"train/loss": [3.0, 2.0]})
    found = compared(owner, one, two).figures[0]
    assert found.last[0].value is None
    assert found.leaders == [False, False]


def test_the_data_differ_by_version_and_items_that_came_and_went(owner):
    dataset = make_dataset(owner)
    first = freeze(dataset, owner)
    from datasets.intake.imports import receive, run_import

    run_import(receive(dataset, owner, [Upload("more.txt", b"Another fable. " * 20)]).pk)
    dataset.refresh_from_db()
    second = freeze(dataset, owner)
    found = compared(owner, ended(owner, dataset_version=first), ended(owner, dataset_version=second))
    assert cells(found.data)["version"] == ["Fables v1", "Fables v2"]
    assert "dataset" not in cells(found.data)
    assert found.items[0].counts["added"] == 1
    assert "not trained on the same data" in " ".join(found.notes)


def test_items_of_another_dataset_are_not_compared(owner):
    one = freeze(make_dataset(owner, "One"), owner)
    two = freeze(make_dataset(owner, "Two", {"x.txt": b"quite another text " * 9}), owner)
    found = compared(owner, ended(owner, dataset_version=one), ended(owner, dataset_version=two))
    assert found.items[0].counts is None
    assert "Another dataset" in found.items[0].reason


def test_libraries_devices_and_code_are_told_where_they_differ(owner):
    here = {"python": "3.11", "torch": "2.1", "libraries": {"pillow": "10"}, "device": "cpu"}
    there = here | {"libraries": {"pillow": "11"}, "device": "NVIDIA H100"}
    version = make_version(owner, code={"trainhub": "0.4.0", "commit": "abc"})
    one = ended(owner, environment=here, model_version=version)
    two = ended(owner, environment=there)
    found = compared(owner, one, two).environment
    assert cells(found)["pillow"] == ["10", "11"]
    assert cells(found)["device"] == ["cpu", "NVIDIA H100"]
    assert cells(found)["commit"] == ["abc", None]
    assert "torch" not in cells(found)
    assert [row.kind for row in found.rows if row.name == "commit"] == ["hash"]
    assert found.equal == 3  # python, torch, the devices of the node


def test_seed_time_and_cost_stand_beside_each_other(owner):
    guess = {"seconds": 100, "low": 80, "high": 120, "runs": 3, "price": 3.6, "currency": "EUR"}
    one = ended(owner, seed=1, seconds=100, estimate=guess)
    two = ended(owner, seed=2, seconds=200, estimate=guess)
    found = compared(owner, one, two).course
    assert cells(found)["seed"] == [1, 2]
    assert cells(found)["seconds"] == [100, 200]
    assert cells(found)["cost"] == [0.1, 0.2]
    assert "expected_seconds" not in cells(found)  # the same for both


@pytest.mark.parametrize(
    ("text", "keys"), [("12,15", ["12", "15"]), ("12, v3 ,s4,12", ["12", "v3", "s4"]), ("", []), (",,", [])]
)
def test_an_address_names_each_run_once(text, keys):
    assert runs.read_keys([text]) == keys


@pytest.mark.parametrize("text", ["x", "1.5", "-1", "v", "9" * 25, "٣", "99999999999999999999", "1;2"])
def test_what_names_no_run_is_refused(text):
    with pytest.raises(InvalidInputError, match="names no run"):
        runs.read_keys([text])


def test_two_to_fifty_runs_are_compared(owner):
    assert len(runs.read_keys([",".join(map(str, range(1, 51)))])) == 50
    with pytest.raises(InvalidInputError, match="too many"):
        runs.read_keys([",".join(map(str, range(1, 52)))])
    one = ended(owner)
    with pytest.raises(InvalidInputError, match="nothing to be compared with"):
        runs.find(owner, [str(one.pk)])
    with pytest.raises(InvalidInputError, match="No run was chosen"):
        runs.find(owner, [])


def test_a_job_that_has_not_begun_is_refused_by_its_number(owner):
    waiting = make_job(owner)
    with pytest.raises(InvalidInputError, match=f"Job {waiting.pk} has not begun"):
        runs.find(owner, [str(ended(owner).pk), str(waiting.pk)])


def test_versions_and_records_stand_for_their_jobs(owner):
    one, two = ended(owner), ended(owner)
    version = make_version(owner, source_job_id=one.pk)
    record, _ = record_reported(owner, {"started_at": timezone.now(), "completed_at": timezone.now()})
    type(record).objects.update(job=two)
    assert [run.key for run in runs.find(owner, [f"v{version.pk}", f"s{record.pk}"])] == [one.pk, two.pk]


def test_what_no_job_made_is_refused_in_words(owner):
    version = make_version(owner)
    record, _ = record_reported(owner, {"started_at": timezone.now(), "completed_at": timezone.now()})
    for key, words in ((f"v{version.pk}", "not made by a run"), (f"s{record.pk}", "reported by a program")):
        with pytest.raises(InvalidInputError, match=words):
            runs.find(owner, [str(ended(owner).pk), key])


def test_another_persons_runs_do_not_exist_whatever_they_are_named_by(owner, stranger, administrator):
    theirs, mine = ended(owner), ended(stranger)
    version = make_version(owner, source_job_id=theirs.pk)
    record, _ = record_reported(owner, {"started_at": timezone.now(), "completed_at": timezone.now()})
    for key in (theirs.pk, f"v{version.pk}", f"s{record.pk}", 10**9):
        with pytest.raises(NotFoundError):
            runs.find(stranger, [str(mine.pk), str(key)])
    assert len(runs.find(administrator, [str(mine.pk), str(theirs.pk)])) == 2
    assert list(runs.recent(stranger)) == [mine]


def test_runs_to_choose_are_found_by_name_number_and_recipe(owner):
    fox = ended(owner, "Fox")
    bear = ended(owner, "Bear", recipe="image-classification")
    make_job(owner, name="Waits")
    assert list(runs.recent(owner)) == [bear, fox]
    assert list(runs.recent(owner, "fo")) == [fox]
    assert bear in runs.recent(owner, str(bear.pk))
    assert list(runs.recent(owner, "image class")) == [bear]
    assert list(runs.recent(owner, "9" * 30)) == []


def test_what_changed_since_the_version_before_is_told_without_jobs_too(owner):
    first = make_version(owner, config={"width": 8}, metrics={"validation/loss": 2.0}, seed=1)
    assert comparison.since_before(first, owner) is None
    second = make_version(owner, config={"width": 16}, metrics={"validation/loss": 1.5}, seed=1)
    found = comparison.since_before(second, owner)
    assert cells(found.settings) == {"width": [8, 16]}
    assert found.figures[0].leaders == [False, True]
    assert [run.version for run in found.runs] == [first, second]


def test_the_version_before_is_the_last_ready_one_and_its_job_counts(owner):
    job = ended(owner, seed=7, config={"width": 8})
    make_version(owner, config={"width": 8}, source_job_id=job.pk)
    make_version(owner, status="failed")
    third = make_version(owner, config={"width": 16})
    found = comparison.since_before(third, owner)
    assert found.runs[0].job == job
    assert cells(found.course)["seed"] == [7, 0]


def test_runs_that_go_on_are_said_to_change(owner):
    job = ended(owner)
    type(job).objects.filter(pk=job.pk).update(status="paused", completed_at=None)
    assert "1 of them has not ended" in " ".join(compared(owner, job, ended(owner)).notes)


def test_three_runs_with_a_number_that_differs_are_drawn_the_best_on_top(owner):
    jobs = [
        ended(owner, f"Run {rate}", config={"rate": rate}, metrics={"validation/loss": loss})
        for rate, loss in ((0.1, 3.0), (0.2, 1.0), (0.3, 2.0))
    ]
    drawn, narrow = parallel.pictures(compared(owner, *jobs))
    assert narrow.narrow and len(narrow.threads) == 3
    assert [axis.name.text for axis in drawn.axes] == ["rate", "Validation loss"]
    assert [thread.label for thread in drawn.threads] == ["Run 0.1", "Run 0.3", "Run 0.2"]
    assert [thread.best for thread in drawn.threads] == [False, False, True]
    assert parallel.pictures(compared(owner, *jobs[:2])) == []


def test_a_setting_of_words_alone_is_not_drawn(owner):
    jobs = [ended(owner, config={"kind": kind}, metrics={"validation/loss": 1.0}) for kind in "abc"]
    assert parallel.pictures(compared(owner, *jobs)) == []


def test_a_run_was_at_work_without_its_pauses(owner):
    job = ended(owner, seconds=30)
    attempt(job, 2, START + timedelta(hours=1), 30)
    run = runs.find(owner, [str(job.pk)], least=1)[0]
    assert len(run.work) == 2
    assert tables.course([run, run]).rows == []
