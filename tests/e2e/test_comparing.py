"""Two runs side by side, as a person chooses and looks at them."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def two(newcomers_hub):
    hub = newcomers_hub
    made = [
        hub.post("/training/jobs", {"recipe": "simulate", "name": f"Compared {steps}",
                                    "config": {"steps": steps, "step_seconds": 0.01}})["id"]
        for steps in (20, 30)
    ]  # fmt: skip
    for job in made:
        hub.wait_job(job)
    return made


def test_runs_are_ticked_compared_and_drawn_over_another_axis(signed_in, two):
    page = signed_in
    first, second = two
    page.goto(f"/history/compare?runs={first}")
    page.locator(f"input[type=checkbox][value='{second}']").check()
    page.fill("input[type=search]", "Compared 30")
    expect(page.locator("#offered tbody tr")).to_have_count(1)
    expect(page.locator(f"input[type=checkbox][value='{second}']")).to_be_checked()  # what was ticked stays so
    page.get_by_test_id("compare-chosen").click()
    page.wait_for_url(f"**/history/compare?runs={first},{second}")
    expect(page.get_by_test_id("compared-run")).to_have_count(2)
    expect(page.get_by_test_id("compare-settings")).to_contain_text("Steps")
    lines = page.locator("#curves .u-legend .u-series:not(.raw)")
    expect(lines).to_have_count(3)  # the axis, and a line for each run
    page.select_option("select[name=x]", "time")
    page.wait_for_url("**x=time**")
    expect(lines.first).to_contain_text("Seconds at work")
    page.reload()
    expect(page.locator("select[name=x]")).to_have_value("time")


def test_jobs_that_are_ticked_in_the_list_are_compared(signed_in, two):
    page = signed_in
    page.goto("/jobs?search=Compared")
    for job in two:
        page.locator(f"input[name=job][value='{job}']").check()
    page.click("button[value=compare]")
    page.wait_for_url("**/history/compare?runs=**")
    expect(page.get_by_test_id("compared-run")).to_have_count(2)


def test_runs_are_ticked_in_the_history_by_keyboard_and_one_alone_is_told_without_losing_the_list(signed_in, two):
    page = signed_in
    page.goto("/history?search=Compared")
    boxes = page.locator("tbody input[name=runs]")
    expect(boxes).to_have_count(2)
    boxes.first.focus()
    page.keyboard.press("Space")
    page.get_by_test_id("compare-ticked").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("One run alone")
    expect(boxes.first).to_be_checked()
    page.locator("#tick-all").focus()
    page.keyboard.press("Space")
    expect(boxes.last).to_be_checked()
    page.get_by_test_id("compare-ticked").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/history/compare?runs=**")
    expect(page.get_by_test_id("compared-run")).to_have_count(2)
