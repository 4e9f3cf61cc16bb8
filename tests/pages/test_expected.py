"""The form of a new job says how long it will take, as it is filled in."""

from __future__ import annotations

import pytest

from tests.jobs.test_estimates import ran


def told(page, **typed):
    return page.get("/jobs/new/expected", typed).content.decode().strip()


def test_time_is_told_as_settings_are_typed(page, owner):
    assert told(page, recipe="simulate") == "How long it takes: no past run to compare with."
    ran(owner, 10)
    assert told(page, recipe="simulate", **{"config.steps": "100"}).startswith("It takes about 10 s (")
    assert told(page, recipe="simulate", **{"config.steps": "600"}).startswith("It takes about 60 s (")
    assert "no past run" in told(page, recipe="simulate", device="cuda")


@pytest.mark.parametrize(
    "typed",
    [{}, {"recipe": "nothing"}, {"recipe": "simulate", "config.steps": "x"}, {"recipe": "simulate", "devices": "x"},
     {"recipe": "text-generation", "dataset": "9" * 30, "validation_fraction": "nan"}],
)  # fmt: skip
def test_what_is_no_request_yet_says_nothing_wrong(page, typed):
    assert told(page, **typed) in {"", "How long it takes: no past run to compare with."}


def test_the_form_asks_for_it(page, world):
    form = page.get("/jobs/new").content.decode()
    assert 'hx-get="/jobs/new/expected"' in form
    for share in ("0.1", "nan", "inf", "-1", "x"):
        assert told(page, recipe="text-generation", dataset=world.dataset.pk, validation_fraction=share)
