"""The cast of the tests."""

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from xdist.scheduler import LoadScopeScheduling

from tests.emptying import empty
from tests.prepared import BLANK


def pytest_configure(config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(AtOnce(config))
    settings.LOG_PREDICTIONS_AT_ONCE = True
    # Argon2 is meant to be slow; hundreds of people are made and signed in here.
    # A fresh clone has collected no static files yet; a real hub collects its own.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    # The schema is there already: see tests.prepared.
    connection.settings_dict["TEST"]["TEMPLATE"] = BLANK
    TransactionTestCase._fixture_teardown = _put_back
    # How long an example takes says how busy the machine is, not whether it is right.
    slow = hypothesis.HealthCheck.too_slow
    hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[slow])
    hypothesis.settings.load_profile("shared")


# What measures time or memory, and the loop: one at a time, after all that share the machine.
ALONE = (
    "tests/faults/test_smoke.py", "tests/hub/test_closed_loop.py", "tests/hub/test_doors.py",
    "tests/engine/test_ahead.py", "tests/engine/test_commands.py", "tests/engine/test_events.py",
    "tests/engine/test_launch.py", "tests/engine/serving/test_predicting.py", "tests/engine/test_results.py",
    "tests/engine/test_several_processes.py", "tests/engine/test_telemetry.py", "tests/engine/test_warm.py",
)  # fmt: skip
# `make test-long` runs these beside all the others: a minute or more each, or variants of what another one of the same
# file shows already.
LONG = (
    "tests/e2e/test_real_sets.py", "tests/e2e/test_merging.py", "tests/e2e/test_automatic_trainer.py",
    "tests/faults/test_smoke.py::test_nothing_is_lost_in_a_short_campaign",
    "tests/test_migrations.py::test_a_new_database",
    "tests/hub/test_killed_work.py", "tests/hub/test_several_devices.py", "tests/hub/test_late_history.py",
    "tests/hub/test_merging.py", "tests/hub/test_stop.py", "tests/hub/test_nodes.py::test_a_database_that_knows",
    "tests/hub/test_closed_loop.py::test_where_nothing_changes",
    "tests/hub/test_faults.py::test_a_job_survives[kill_node]",
    *(f"tests/hub/test_real_sets.py::test_a_real_set_goes_the_whole_way[{name}]" for name in (
        "gsm8k", "dreambooth_dev", "tinyshakespeare", "gutenberg_genres", "self_instruct", "ebg_authors", "etth1")),
    "tests/datasets/test_quality_templated.py", "tests/datasets/test_imports.py::test_ten_thousand_small_pictures",
    "tests/history/test_exporting.py::test_more_rows_take_no_more_memory[parquet]",
    "tests/jobs/test_generation_sessions.py::test_a_cancelled_run_and_what_became_of_it_when_it_was_retried[True]",
    "tests/registry/test_merging.py::test_a_base_that_is_gone", "tests/registry/test_merging.py::test_a_disk_without",
    "tests/e2e/test_upload.py::test_a_folder_of_small_files", "tests/jobs/test_generation.py::test_a_cancelled_run",
    "tests/datasets/test_quality_planted.py::test_faults_planted_in_5000_texts",
    "tests/engine/test_results.py::test_digits_reach_97_percent",
    "tests/engine/test_trial.py::test_whether_steps_go_by",
    "tests/engine/test_memory.py::test_a_step_that_does_not_fit_is_taken_in_parts[by_the_machine-text",
    "tests/engine/test_memory.py::test_a_step_that_does_not_fit_is_taken_in_parts[by_the_device-text_spec-"
    "TextGenerationTask-config1",
    "tests/engine/test_memory.py::test_an_evaluation_that_does_not_fit_takes_fewer_at_a_time[text",
    "tests/engine/test_exact_resume.py::test_two_deterministic_runs_agree_in_every_bit[text]",
    "tests/engine/test_exact_resume.py::test_kill_9_at_random_steps_changes_no_bit[images]",
    "tests/engine/test_best_weights.py::test_a_run_of_two", "tests/recipes/test_compiled.py::test_without_a_compiler",
    "tests/recipes/test_compiled.py::test_other_networks_are_traced_whole[base]",
    "tests/recipes/test_layout.py::test_the_same_is_learned_and_resuming_is_exact[generation]",
    *(f"tests/recipes/test_exact_resume.py::test_a_kill_without_a_word_changes_no_bit[{name}]" for name in (
        "image_generation", "forecast", "image_fine_tuning", "text_encoder", "text_fine_tuning",
        "audio_classification")),
    *(f"tests/engine/test_several_processes.py::test_{name}" for name in (
        "whatever_interrupts_it", "cancel_kill_and_lease", "pictures_resume", "shares_of_different_sizes",
        "two_processes_that_calculate")),
)  # fmt: skip
# Of each of these one process runs all, with one hub; of the others it runs a module as a whole. They take longest, so
# they begin first; what loads torch and its kin comes last, so that no other test shares a process with all of these.
TOGETHER = (
    "tests/hub", "tests/e2e/test_real_sets.py", "tests/e2e", "tests/pages/test_looks.py", "tests/engine/serving",
)  # fmt: skip
LAST = ("tests/engine", "tests/recipes")


def turn(nodeid: str) -> int:
    first = next((at for at, part in enumerate(TOGETHER[:4]) if nodeid.startswith(part)), len(TOGETHER))
    return first + nodeid.startswith(LAST)


def pytest_collection_modifyitems(items) -> None:
    items.sort(key=lambda item: turn(item.nodeid))
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker(pytest.mark.alone)
        if item.nodeid.startswith(LONG):
            item.add_marker(pytest.mark.long)


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return Scheduling(config, log)


class AtOnce:
    """Says what failed when it fails: the whole report comes at the end, which a run that is cut off does not reach."""

    def __init__(self, config) -> None:
        self.plugins = config.pluginmanager

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            why = getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr))
            terminal = self.plugins.get_plugin("terminalreporter")
            terminal.write_line(f"\nFAILED {report.nodeid} ({report.when}): {why[:300]}", red=True)


class Scheduling(LoadScopeScheduling):
    """What shares costly fixtures runs in one process."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((part for part in TOGETHER if module.startswith(part)), module)


def _put_back(case) -> None:
    for alias in case._databases_names(include_mirrors=False):
        empty(alias)


@pytest.fixture
def owner(db, django_user_model):
    """The one who made it."""
    return django_user_model.objects.create_user("alice", "alice@example.org", "correct horse battery")


@pytest.fixture
def stranger(db, django_user_model):
    """Signed in, but owns nothing of it."""
    return django_user_model.objects.create_user("mallory", "mallory@example.org", "correct horse battery")


@pytest.fixture
def administrator(db, django_user_model):
    return django_user_model.objects.create_superuser("admin", "admin@example.org", "correct horse battery")
