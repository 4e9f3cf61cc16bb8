"""Comparisons by program."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import Api
from tests.history.runs import ended

COMPARE = "training-history/compare"
CURVES = f"{COMPARE}/curves"


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def mallory(stranger):
    return Api(stranger)


@pytest.fixture
def two(owner):
    return [
        ended(owner, name, config={"steps": steps, "same": 1}, metrics={"validation/loss": loss},
              curves={"validation/loss": [3.0, loss]})
        for name, steps, loss in (("=Fox", 10, 1.0), ("Bear", 20, 2.0))
    ]  # fmt: skip


def keys(jobs):
    return ",".join(str(job.pk) for job in jobs)


def test_differences_and_figures_come_in_the_order_of_the_runs(alice, two):
    told = alice.get(f"{COMPARE}?runs={keys(two)}").json()
    assert [(run["id"], run["name"], run["seconds"]) for run in told["runs"]] == [
        (two[0].pk, "=Fox", 60.0),
        (two[1].pk, "Bear", 60.0),
    ]
    (row,) = told["settings"]["rows"]
    assert (row["name"], [value["value"] for value in row["values"]]) == ("steps", [10, 20])
    assert told["settings"]["equal"] == 1
    (figure,) = told["figures"]
    assert figure["last"] == [{"value": 1.0, "step": None}, {"value": 2.0, "step": None}]
    assert figure["best"] == [{"value": 1.0, "step": 2}, {"value": 2.0, "step": 2}]
    assert (figure["better"], figure["leaders"]) == ("lower", [two[0].pk])
    assert (told["metrics"], told["axes"]) == (["validation/loss"], ["step", "time"])
    backwards = alice.get(f"{COMPARE}?runs={keys(two[::-1])}").json()
    assert [run["name"] for run in backwards["runs"]] == ["Bear", "=Fox"]


def test_curves_come_as_columns(alice, two):
    told = alice.get(f"{CURVES}?runs={keys(two)}&metric=validation/loss&x=time").json()
    assert (told["metric"], told["x"]) == ("validation/loss", "time")
    assert told["curves"][0] == {
        "run": two[0].pk, "name": "=Fox", "total_points": 2, "x": [1.0, 2.0], "steps": [1, 2], "values": [3.0, 1.0],
    }  # fmt: skip


def test_curves_as_csv_hold_no_formula(alice, two):
    answer = alice.get(f"{CURVES}?runs={keys(two)}&metric=validation/loss&format=csv")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[:2] == ["run,name,step,x,value", f"{two[0].pk},'=Fox,1,1,3.0"]
    assert len(lines) == 5


@pytest.mark.parametrize("path", [COMPARE, CURVES])
@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("", "runs"), ("runs=", "runs"), ("runs=1", "runs"), ("runs=x,1", "runs"), ("run=1,2", "run"),
        ("runs=" + ",".join(map(str, range(1, 53))), "runs"), ("runs=" + "1," * 2000, "runs"),
    ],
)  # fmt: skip
def test_too_few_too_many_and_nonsense_are_refused_by_field(alice, two, path, chosen, told):
    given = chosen.replace("runs=1", f"runs={two[0].pk}") if chosen == "runs=1" else chosen
    answer = alice.get(f"{path}?{given}&metric=validation/loss" if path == CURVES else f"{path}?{given}")
    assert answer.status_code == 400
    assert told in answer.json()["errors"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [("", 400), ("&metric=nope", 404), ("&metric=validation/loss&x=weeks", 400), ("&metric=a%00b", 400),
     ("&metric=validation/loss&x=examples", 400), ("&metric=validation/loss&max_points=1", 400),
     ("&metric=validation/loss&max_points=99999", 400), ("&metric=validation/loss&format=xml", 400)],
)  # fmt: skip
def test_curves_that_can_not_be_are_refused(alice, two, asked, status):
    assert alice.get(f"{CURVES}?runs={keys(two)}{asked}").status_code == status


def test_a_stranger_gets_404_and_staff_the_runs(mallory, stranger, administrator, two):
    mine = ended(stranger, curves={"validation/loss": [1.0]})
    for path in (COMPARE, CURVES):
        for chosen in (keys(two), f"{mine.pk},{two[0].pk}", f"{mine.pk},{10**12}"):
            answer = mallory.get(f"{path}?runs={chosen}&metric=validation/loss" if path == CURVES else
                                 f"{path}?runs={chosen}")  # fmt: skip
            assert answer.status_code == 404
            assert "Fox" not in answer.content.decode()
    assert Api(administrator).get(f"{COMPARE}?runs={keys([mine, *two])}").status_code == 200


def test_many_runs_take_as_many_queries_as_two(alice, owner, two):
    many = [*two, *(ended(owner, curves={"validation/loss": [1.0]}) for _ in range(18))]
    alice.get(f"{COMPARE}?runs={keys(two)}")

    def queries(jobs):
        with CaptureQueriesContext(connection) as counted:
            assert alice.get(f"{COMPARE}?runs={keys(jobs)}").status_code == 200
            assert alice.get(f"{CURVES}?runs={keys(jobs)}&metric=validation/loss").status_code == 200
        return len(counted)

    assert queries(two) == queries(many)
