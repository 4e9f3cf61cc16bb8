"""The form of a job on tables: the columns that there are, and the one share that counts."""

import re

import pytest

from jobs.models import Job
from tests.pages.conftest import HTMX
from tests.tables import MACHINES, make_table


def form(page, dataset, recipe, **more):
    query = {"dataset": dataset.pk, "recipe": recipe} | more
    return page.get("/jobs/new", query, headers=HTMX).content.decode()


def options(html, key):
    field = html[html.index(f'id="{key}"') :]
    return re.findall(r'<option value="([^"]*)"', field[: field.index("</select>")])


def test_the_columns_of_the_data_are_offered(page, owner):
    html = form(page, make_table(owner), "table-baseline")
    assert options(html, "config.target") == ["auto", *MACHINES] and options(html, "config.time") == ["", *MACHINES]
    assert "There are: id, Type, Air temperature [K], Machine failure, note." in html
    assert 'id="config.target"' in form(page, make_table(owner, "Empty"), "forecast"), "several stay a text"


def test_a_column_that_the_data_does_not_have_is_told_at_its_field(page, owner):
    dataset = make_table(owner)
    given = {"recipe": "table-baseline", "settings_of": "table-baseline", "dataset": dataset.pk}
    answer = page.post("/jobs/new", given | {"config.target": "Typ", "config.exclude": "nota", "seed": "x"})
    html = answer.content.decode()
    assert answer.status_code == 400 and not Job.objects.exists()
    assert "has no column &#x27;Typ&#x27;. Did you mean &#x27;Type&#x27;?" in html
    assert 'id="config.exclude-error"' in html and 'id="seed-error"' in html
    assert "Typ — not a column of this data" in html and 'value="nota"' in html
    page.post("/jobs/new", given | {"config.target": "Machine failure"})
    assert Job.objects.get().config["target"] == "Machine failure"


@pytest.mark.parametrize("recipe", ["table-baseline", "anomaly", "forecast"])
def test_the_rows_of_one_table_are_divided_by_the_recipe(page, owner, recipe):
    html = form(page, make_table(owner), recipe)
    assert 'name="validation_fraction"' not in html and 'name="split_by"' not in html
    assert 'name="config.validation_fraction"' in html and 'data-testid="divided"' in html
    assert "set the validation and test share among the settings" in html


def test_tables_of_parts_of_their_own_are_divided_by_the_split(page, owner):
    dataset = make_table(owner, files=[MACHINES] * 8)
    html = form(page, dataset, "table-baseline", validation_fraction="0.4")
    assert 'name="validation_fraction"' in html and 'name="config.validation_fraction"' not in html
    assert "Each table belongs to one part as a whole" in html
    html = form(page, dataset, "table-baseline", validation_fraction="0")
    assert 'name="validation_fraction"' in html and 'name="config.validation_fraction"' in html
    assert "rows are divided" in html
    html = form(page, dataset, "forecast", validation_fraction="0.4")
    assert 'name="validation_fraction"' not in html and "divides each table in time" in html
