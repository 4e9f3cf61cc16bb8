"""A column that the data does not have is refused when a job is made, with those that there are, at every door."""

import pytest

from common.errors import InvalidInputError
from jobs import blueprints, columns, creation
from jobs.models import Job
from jobs.search import verbs
from tests.api.conftest import Api
from tests.tables import make_table

SALES = {"day": ["2024-01-01", "2024-01-02"], "sold": [1.0, 2.0], "shop, old": ["a", "b"]}


@pytest.fixture
def sales(owner):
    return make_table(owner, "Sales", [SALES])


def refused(recipe, config, dataset):
    with pytest.raises(InvalidInputError) as failure:
        columns.check(recipe, creation.check_config(recipe, config), dataset)
    return failure.value


@pytest.mark.parametrize(
    ("recipe", "config", "fields"),
    [
        ("table-baseline", {"target": "sole"}, {"target": "sole"}),
        ("table-baseline", {"features": ["day", "dya"], "exclude": ["x"]}, {"features": "dya", "exclude": "x"}),
        ("table-baseline", {"group": "Sold"}, {"group": "Sold"}),
        ("forecast", {"target": "sold, slod"}, {"target": "slod"}),
        ("forecast", {"time": "when", "series": "all"}, {"time": "when", "series": "all"}),
        ("anomaly", {"columns": ["sold", "y"], "label": "bad"}, {"columns": "y", "label": "bad"}),
    ],
)
def test_each_setting_that_names_no_column_is_told_at_its_field(sales, recipe, config, fields):
    told = refused(recipe, config, sales).fields
    assert set(told) == {f"config.{name}" for name in fields}
    for name, wrong in fields.items():
        (text,) = told[f"config.{name}"]
        assert f"'Sales' has no column '{wrong}'." in text and "It has: day, sold, shop, old." in text


def test_the_nearest_name_is_told(sales):
    assert "Did you mean 'sold'?" in refused("table-baseline", {"target": "Sold"}, sales).message
    assert "Did you mean" not in refused("table-baseline", {"target": "zzz"}, sales).message


@pytest.mark.parametrize(
    ("recipe", "config"),
    [
        ("table-baseline", {}), ("table-baseline", {"target": "sold", "features": ["day"], "time": "day"}),
        ("table-baseline", {"target": "shop, old"}), ("forecast", {"target": "shop, old"}),
        ("forecast", {"target": "all"}), ("forecast", {"target": "sold,day"}), ("anomaly", {}), ("simulate", {}),
    ],
)  # fmt: skip
def test_what_there_is_passes(sales, recipe, config):
    columns.check(recipe, creation.check_config(recipe, config), sales)


def test_data_whose_columns_are_not_known_is_left_to_the_run(owner):
    dataset = make_table(owner)
    dataset.items.update(facts={"rows": 3})
    columns.check("table-baseline", creation.check_config("table-baseline", {"target": "x"}), dataset)


def test_no_door_makes_a_job_that_would_fail(owner, sales):
    given = {"recipe": "table-baseline", "dataset": sales.pk, "config": {"target": "sole"}}
    answer = Api(owner).post_json("training/jobs", given)
    assert answer.status_code == 400 and "Did you mean 'sold'?" in answer.json()["errors"]["config.target"][0]
    space = {"rounds": {"low": 10, "high": 20}}
    answer = Api(owner).post_json("training/searches", given | {"space": space})
    assert answer.status_code == 400 and "config.target" in answer.json()["errors"]
    with pytest.raises(InvalidInputError):
        blueprints.check(owner, given)
    version = creation.create_job(owner, recipe="table-baseline", dataset=sales)[0].dataset_version
    with pytest.raises(InvalidInputError) as failure:
        creation.create_job(owner, recipe="anomaly", dataset_version=version, config={"label": "sole"})
    assert "It has: day, sold" in failure.value.message
    assert Job.objects.count() == 1 and verbs.Search.objects.count() == 0
