"""The pages of queue and nodes in a browser: live, and to be used by keyboard alone."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

LONG = {"steps": 100_000, "step_seconds": 0.1}
NAMES = "() => [...document.querySelectorAll('[data-testid=queue-row] a.title')].map((link) => link.textContent)"
ORDER = f"(names) => JSON.stringify(({NAMES})()) === JSON.stringify(names)"


@pytest.fixture
def line(newcomers_hub):
    """One job runs, three wait behind it: their ids by name."""
    hub = newcomers_hub
    made = {}
    for name in ("Runs", "One", "Two", "Three"):
        made[name] = hub.post("/training/jobs", {"recipe": "simulate", "name": name, "config": LONG})["id"]
        if name == "Runs":
            hub.wait_step(made[name], 2)
    yield made
    for job in (*list(made.values())[1:], made["Runs"]):
        if hub.job(job)["status"] not in {"cancelled", "completed", "failed"}:
            hub.post(f"/training/jobs/{job}/cancel")
            hub.wait_job(job, "cancelled")


def test_a_job_is_moved_by_keyboard_alone_and_the_focus_goes_with_it(signed_in, line):
    page = signed_in
    page.goto("/queue")
    page.wait_for_function(ORDER, arg=["One", "Two", "Three"])
    button = f"up-{line['Three']}"
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == button:
            break
    assert page.evaluate("document.activeElement.id") == button
    for place, names in ((2, ["One", "Three", "Two"]), (1, ["Three", "One", "Two"])):
        page.keyboard.press("Enter")
        page.wait_for_function(ORDER, arg=names)
        # Said politely, and the next press moves the same job.
        expect(page.locator("#toasts[aria-live=polite]")).to_contain_text(f"'Three' is number {place} in line now.")
        assert page.evaluate("document.activeElement.id") == button
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("stays number 1 in line")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == f"down-{line['Three']}"
    page.keyboard.press("Space")
    page.wait_for_function(ORDER, arg=["One", "Three", "Two"])
    assert page.evaluate("document.activeElement.id") == f"down-{line['Three']}"


def test_of_quick_presses_none_is_lost(signed_in, line):
    page = signed_in
    page.goto("/queue")
    page.wait_for_function(ORDER, arg=["One", "Two", "Three"])
    page.focus(f"#down-{line['One']}")
    for _ in range(4):  # two down, and two at the end of the way
        page.keyboard.press("Enter")
    page.focus(f"#up-{line['Two']}")
    page.wait_for_function(ORDER, arg=["Two", "Three", "One"])
    page.focus(f"#up-{line['One']}")
    for _ in range(2):
        page.keyboard.press("Enter")
    page.wait_for_function(ORDER, arg=["One", "Two", "Three"])
    expect(page.locator("#toasts .note")).to_have_count(1)


def test_a_download_takes_the_filters_as_they_are_now(signed_in, line):
    page = signed_in
    page.goto("/jobs")
    page.fill('input[name="search"]', f"#{line['Two']}")
    page.wait_for_function("() => location.search.includes('search=')")
    with page.expect_download() as found:
        page.click("a[data-export]")
    rows = found.value.path().read_text().splitlines()
    assert [row.split(",")[1] for row in rows] == ["name", "Two"]


def test_the_queue_follows_what_others_do_and_keeps_what_was_ticked_and_typed(signed_in, newcomers_hub, line):
    page, hub = signed_in, newcomers_hub
    page.goto("/queue")
    page.wait_for_function(ORDER, arg=["One", "Two", "Three"])
    page.evaluate("() => { window.notReloaded = true }")
    page.check(f"#pick-{line['Two']}")
    page.select_option("#batch-priority", "number")
    page.fill("#batch-priority-number", "12")
    before = page.locator(f"#running-{line['Runs']} progress").get_attribute("value")
    hub.post(f"/training/jobs/{line['One']}/pause")
    page.wait_for_function(ORDER, arg=["Two", "Three"])
    expect(page.locator(f"#held-row-{line['One']}")).to_contain_text("Resume it to go on")
    page.wait_for_function(
        "([id, before]) => document.querySelector(`#running-${id} progress`).getAttribute('value') !== before",
        arg=[line["Runs"], before],
    )
    expect(page.locator(f"#pick-{line['Two']}")).to_be_checked()
    expect(page.locator("#batch-priority-number")).to_have_value("12")
    page.click("#batch-priority-set")
    expect(page.locator(f"#queue-row-{line['Two']} .rank")).to_have_text("12")
    # A filter stays: what changes elsewhere is not drawn into it.
    page.fill('input[name="search"]', "Thr")
    page.wait_for_function(ORDER, arg=["Three"])
    page.wait_for_function("document.querySelector('#stream').getAttribute('hx-sse:connect').includes('search=Thr')")
    hub.post(f"/training/jobs/{line['One']}/resume")
    three = page.locator(f"#queue-row-{line['Three']} .place")
    expect(three).to_have_text("2")
    hub.post(f"/training/jobs/{line['Three']}/cancel")
    expect(page.get_by_text("No job in line fits")).to_be_visible()
    expect(page.locator('input[name="search"]')).to_be_focused()
    assert page.evaluate("() => window.notReloaded") is True


def test_many_are_chosen_at_once_and_cancelled_after_a_question(signed_in, newcomers_hub, line):
    page = signed_in
    page.goto("/queue")
    page.wait_for_function(ORDER, arg=["One", "Two", "Three"])
    page.check("#pick-line")
    expect(page.locator("[data-testid=queue-row] input:checked")).to_have_count(3)
    page.uncheck(f"#pick-{line['Two']}")
    page.click("#batch-cancel")
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("Cancel 2 jobs?")
    page.wait_for_function(ORDER, arg=["One", "Two", "Three"])
    page.get_by_test_id("confirm").click()
    page.wait_for_function(ORDER, arg=["Two"])
    expect(dialog).to_be_hidden()
    assert newcomers_hub.job(line["One"])["status"] == "cancelled"


def test_a_node_is_drained_and_takes_jobs_again(signed_in, newcomers_hub, line):
    page, hub = signed_in, newcomers_hub
    page.goto("/nodes")
    page.evaluate("() => { window.notReloaded = true }")
    card = page.get_by_test_id("node").first
    expect(card).to_contain_text("Runs")
    heard = card.locator("time").first.get_attribute("datetime")
    page.wait_for_function(
        "(heard) => document.querySelector('[data-testid=node] time').getAttribute('datetime') !== heard", arg=heard
    )
    card.get_by_test_id("drain-node").click()
    expect(page.locator("#dialog")).to_contain_text("Its running job goes on to its end.")
    page.get_by_test_id("confirm").click()
    try:
        expect(card.get_by_test_id("node-state")).to_have_text("Draining")
        expect(page.locator("#toasts")).to_contain_text("finishes its running job and takes nothing more")
        hub.post(f"/training/jobs/{line['Runs']}/cancel")
        expect(card.get_by_test_id("node-state")).to_have_text("Drained")
        assert hub.job(line["One"])["status"] == "queued"
        page.get_by_role("link", name="test", exact=True).click()
        page.get_by_test_id("resume-node").click()
        expect(page.get_by_test_id("node-state")).to_have_text("Up")
        hub.wait_step(line["One"], 1)
    finally:
        hub.sql("UPDATE jobs_node SET draining = false")


def test_a_time_to_start_is_read_in_the_browsers_zone(chromium, newcomers_hub):
    from tests.hub.harness import PASSWORD

    context = chromium.new_context(base_url=newcomers_hub.url, timezone_id="America/New_York")
    page = context.new_page()
    page.goto("/login?next=/jobs/new")
    page.fill('input[name="username"]', "admin")
    page.fill('input[name="password"]', PASSWORD)
    page.click('[data-testid="sign-in"]')
    page.get_by_text("When and where").click()
    expect(page.locator("[data-zone-name]")).to_have_text("America/New_York")
    page.fill("#not_before", "2199-01-15T09:00")
    page.get_by_test_id("start-job").click()
    expect(page.get_by_test_id("job-waiting")).to_contain_text("Starts at 2199-01-15 14:00 UTC")
    newcomers_hub.post(f"/training/jobs/{page.url.rsplit('/', 1)[1]}/cancel")
    context.close()
