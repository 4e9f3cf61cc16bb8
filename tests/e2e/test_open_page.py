"""What happens on a page that is already open: it follows an import, keeps what was typed, and does not fill up."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.hub.harness import digits, manual_text

pytestmark = pytest.mark.e2e


def test_an_open_dataset_page_follows_an_import_in_all_its_parts(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    made = hub.post("/datasets", {"name": "Followed", "modality": "image"})["id"]
    page.goto(f"/datasets/{made}")
    page.get_by_text("No items yet").wait_for()
    page.locator("#validation_fraction").fill("0.5")
    page.locator("#validation_fraction").blur()
    # A second program fills the dataset while the page is open.
    four = digits(4)
    hub.upload(made, four)
    expect(page.get_by_test_id("item-count")).to_have_text("40")
    expect(page.locator("#list figure")).to_have_count(40)
    expect(page.locator("#dataset-classes")).to_contain_text("10")
    validation = page.get_by_test_id("split").locator(".split-row").nth(1)
    expect(validation).not_to_contain_text("· 10 %")  # half of it, as was typed
    assert 25 < float(validation.inner_text().split("·")[1].strip(" %")) < 75
    choice = page.get_by_label("Class", exact=True)
    choice.select_option("3")
    expect(page.locator("#list figure")).to_have_count(4)
    # Another class comes, sorted before all others: what was chosen stays chosen.
    hub.upload(made, {"digits/+/new.png": next(data for name, data in digits(5).items() if name not in four)})
    expect(choice.locator("option")).to_have_count(12)
    expect(page.locator("#dataset-classes")).to_contain_text("+")
    expect(choice).to_have_value("3")
    expect(page.locator("#list figure")).to_have_count(4)


def test_a_page_whose_scripts_come_slowly_is_followed_once_all_the_same(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    made = hub.post("/datasets", {"name": "Slow line", "modality": "image"})["id"]

    def slowly(route):
        time.sleep(1)
        route.continue_()

    page.route(re.compile("hx-sse"), slowly)
    streams = []
    page.on("request", lambda request: streams.append(request.url) if "/stream/" in request.url else None)
    page.goto(f"/datasets/{made}")
    hub.upload(made, digits(1))
    expect(page.get_by_test_id("item-count")).to_have_text("10")
    assert len(streams) == 1


def test_the_way_back_leads_to_the_form_as_it_was_sent(signed_in):
    page = signed_in
    page.goto("/jobs/new?recipe=simulate&dataset=")
    page.fill("#name", "There and back")
    page.locator("[id='config.steps']").fill("3")
    page.get_by_test_id("start-job").click()
    page.get_by_test_id("job-status").wait_for()
    page.go_back()
    assert page.input_value("#name") == "There and back"
    assert page.locator("[id='config.steps']").input_value() == "3"
    page.locator("[id='config.steps']").fill("4")
    page.get_by_test_id("start-job").click()
    page.get_by_test_id("job-status").wait_for()


def test_a_wrong_setting_has_the_focus_and_a_gpu_that_is_not_there_is_named(signed_in):
    page = signed_in
    page.goto("/jobs/new?recipe=simulate&dataset=")
    page.get_by_text("When and where").click()
    hint = page.get_by_text("No node has a GPU right now")
    if hint.count():
        assert not hint.is_visible()
        page.select_option("#device", "cuda")
        assert hint.is_visible()
    page.locator("[id='config.steps']").fill("-1")
    page.get_by_test_id("start-job").click()
    page.get_by_text("Steps: Write a whole number").wait_for()
    assert page.evaluate("document.activeElement.id") == "config.steps"


def test_what_was_opened_stays_open_when_the_form_asks_for_itself_again(signed_in):
    page = signed_in
    page.goto("/searches/new?recipe=simulate&dataset=")
    page.locator("#fixed-settings > summary").click()
    page.locator("[id='space.steps']").check()
    with page.expect_response(re.compile(r"/searches/new\?.*settings_of=simulate")):
        page.dispatch_event("#dataset", "change")
    page.wait_for_timeout(500)
    expect(page.locator("[id='config.evaluate_every']")).to_be_visible()
    expect(page.locator("[id='space.steps']")).to_be_checked()


def test_at_most_two_toasts_stand_at_a_time(signed_in):
    page = signed_in
    page.goto("/queue")
    for number in range(4):
        page.evaluate("(n) => htmx.ajax('POST', '/jobs/batch', {values: {n}, swap: 'none'})", number)
    page.wait_for_timeout(1000)
    expect(page.get_by_test_id("toast")).to_have_count(2)


def test_a_long_name_without_spaces_makes_no_page_wider_than_the_window(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    long = "Fables_" * 25
    made = hub.dataset(long, "text", manual_text(3) | {"bad.txt": b""})["id"]
    source = hub.get(f"/datasets/{made}/imports")["results"][0]["id"]
    small = {"layers": 1, "heads": 2, "width": 32, "block_size": 32, "steps": 5}
    job = hub.post("/training/jobs", {"recipe": "text-generation", "dataset": made, "config": small, "name": long})
    job = job["id"]
    version = hub.wait_job(job)["model_version"]
    page.set_viewport_size({"width": 390, "height": 900})
    for address in (
        "/", "/jobs", f"/jobs/{job}", f"/jobs/{job}/cancel", f"/jobs/new?from={job}", "/datasets", f"/datasets/{made}",
        f"/datasets/{made}/delete", f"/datasets/{made}/imports/{source}/set-aside", "/models", f"/versions/{version}",
        "/history", "/performance",
    ):  # fmt: skip
        page.goto(address)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, address


def test_an_open_page_says_that_its_dataset_was_deleted(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    made = hub.post("/datasets", {"name": "Short-lived", "modality": "text"})["id"]
    page.goto(f"/datasets/{made}")
    page.get_by_text("No items yet").wait_for()
    hub.call("DELETE", f"/datasets/{made}")
    expect(page.locator("#gone")).to_contain_text("This dataset was deleted")
    page.wait_for_timeout(2500)  # longer than a lost stream takes to be spoken of
    expect(page.locator("#connection")).to_be_hidden()
    page.locator("#gone a").click()
    page.wait_for_url("**/datasets")
