"""Who writes and who judges examples is ticked and chosen, and stands as text in the settings."""

import re

import pytest

from jobs.models import Endpoint
from tests.world import make_version


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def version(owner):
    found = make_version(owner)
    type(found.model).objects.filter(pk=found.model_id).update(recipe="text-generation")
    return found


@pytest.fixture
def endpoint(owner):
    return Endpoint.objects.create(owner=owner, name="good", url="https://example.com/v1", model="m")


def options(html, name):
    inside = re.search(rf'<select[^>]+ name="{re.escape(name)}".*?</select>', html, re.S)[0]
    return re.findall(r'<option value="([^"]*)"( selected)?', inside)


@pytest.mark.parametrize(("path", "prefix"), [("/jobs/new?recipe=generate", "config."), ("/automatic", "")])
def test_names_are_boxes_beside_the_lines(page, version, endpoint, path, prefix):
    html = page.get(path).content.decode()
    boxes = re.findall(r'data-line-of="([^"]+)" value="([^"]+)"( checked)?', html)
    assert boxes == [(f"{prefix}generators", name, "") for name in (f"version {version.pk}", "endpoint good")]
    assert options(html, f"{prefix}judge") == [
        ("measures", " selected"), (f"version {version.pk}", ""), ("endpoint good", ""),
    ]  # fmt: skip


def test_lines_that_are_typed_are_ticked_and_a_judge_that_is_gone_stays_chosen(page, version, endpoint):
    asked = {"recipe": "generate", "settings_of": "generate", "config.generators": "endpoint good\nendpoint gone",
             "config.judge": "endpoint gone", "config.reference": f"version {version.pk}"}  # fmt: skip
    html = page.get("/jobs/new", asked).content.decode()
    assert re.findall(r'value="([^"]+)" checked autocomplete', html) == ["endpoint good"]
    assert ("endpoint gone", " selected") in options(html, "config.judge")
    assert options(html, "config.reference") == [("", ""), (f"version {version.pk}", " selected")]
    assert options(html, "config.classifier") == [("", " selected")]
