"""No page has a fault that axe can see, light or dark, wide or narrow, empty, filled or while a job runs."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError

from tests.hub.harness import digits, manual_text

pytestmark = pytest.mark.e2e

# Its only rule of WCAG 2.2 runs when the tags are named, and not otherwise.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Wide and narrow, in light and in dark colours; that nothing is wider than a window of 320 px, too.
LOOKS = [("light", 1280), ("dark", 360)]
NARROWEST = 320
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BEYOND = """() => [...document.querySelectorAll('body *')]
    .filter((part) => part.getBoundingClientRect().right > document.documentElement.clientWidth)
    .filter((part) => !part.closest('.table-frame, pre, svg')).slice(-3).map((part) => part.outerHTML.slice(0, 200))"""
LISTS = ["/", "/monitor", "/queue", "/jobs", "/datasets", "/models", "/history", "/performance", "/schedules",
         "/templates", "/subjects", "/history/trends"]  # fmt: skip
FORMS = ["/jobs/new", "/datasets/new", "/schedules/new", "/settings", "/subjects/new", "/endpoints"]


@pytest.fixture(scope="module")
def filled(newcomers_hub):
    """Addresses of every page of the path, with something to show on each."""
    hub = newcomers_hub
    texts = hub.dataset("Accessible texts", "text", manual_text(20) | {"bad.txt": b"\xff\xfe\x00bad"})
    images = hub.dataset("Accessible digits", "image", digits(5) | {"digits/1/no.png": b"no"})
    small = {"layers": 1, "heads": 2, "width": 32, "block_size": 32, "steps": 40, "sample_every": 20}
    done = hub.post("/training/jobs", {"recipe": "text-generation", "dataset": texts["id"], "config": small})["id"]
    version = hub.wait_job(done)["model_version"]
    model = hub.get(f"/versions/{version}")["model"]
    model = model["id"] if isinstance(model, dict) else model
    fails = {"steps": 5, "step_seconds": 0.01, "failure": "error", "fail_at_step": 3}
    failed = hub.post("/training/jobs", {"recipe": "simulate", "config": fails})["id"]
    hub.wait_job(failed, "failed")
    forever = {"steps": 100_000, "step_seconds": 0.1}
    running = hub.post("/training/jobs", {"recipe": "simulate", "name": "runs on", "config": forever})["id"]
    waiting = hub.post("/training/jobs", {"recipe": "simulate", "name": "waits", "config": forever})["id"]
    hub.wait_step(running, 3)
    held = {"recipe": "simulate", "name": "is held", "priority": 7, "preemptible": True}
    held = hub.post("/training/jobs", held)["id"]
    hub.post(f"/training/jobs/{held}/pause")
    after = {"recipe": "simulate", "name": "comes after", "after": [waiting], "max_seconds": 3600}
    after = hub.post("/training/jobs", after)["id"]
    nightly = {"name": "Nightly", "job": done, "rule": {"kind": "daily", "at": "02:30"}, "zone": "UTC"}
    schedule = hub.post("/training/schedules", nightly)["id"]
    kept = hub.post("/training/templates", {"name": "Small", "job": done})["id"]
    rules = {"required": ["seed", "config.layers"], "locked": ["config.steps", "dataset", "resources"]}
    ruled = hub.post("/training/templates", {"name": "Ruled", "job": done, **rules})["id"]
    view = hub.post("/training-history/views", {"name": "Failed ones", "filters": {"outcome": "failed"}})["id"]
    yield [
        *LISTS, *FORMS, "/nodes", "/nodes/test", "/nodes/test/drain", "/no-such-page", "/queue?search=nothing",
        f"/jobs/{held}", f"/jobs/{after}", f"/jobs/new?from={held}",
        "/history/compare", f"/history/compare?runs={done},{failed},{running}", f"/versions/{version}/changes",
        f"/jobs/{done}", f"/jobs/{failed}", f"/jobs/{running}", f"/jobs/{waiting}", f"/jobs/new?dataset={images['id']}",
        f"/schedules/{schedule}", f"/schedules/{schedule}/edit", f"/templates/new?job={done}",
        f"/templates/{kept}/edit", f"/templates/{ruled}/edit", f"/jobs/new?template={ruled}",
        f"/history/views/{view}", "/jobs/new?recipe=generate", f"/jobs/{waiting}/cancel", f"/jobs/{done}/cancel",
        f"/datasets/{texts['id']}/quality", f"/datasets/{images['id']}/quality",
        f"/datasets/{texts['id']}", f"/datasets/{images['id']}", first_item(hub, texts), first_item(hub, images),
        f"/datasets/{images['id']}?search=nothing-is-called-so", f"/models/{model}", f"/versions/{version}",
        "/jobs?search=nothing-is-called-so", *sheets_and_subjects(hub),
    ]  # fmt: skip
    for job in (after, held, waiting, running):
        hub.post(f"/training/jobs/{job}/cancel")
        hub.wait_job(job, "cancelled")


def sheets_and_subjects(hub):
    """Addresses of the pages between a table and a training sheet, and of a subject's."""
    rows = "".join(f"{n},{'LMH'[n % 3]},{n / 7:.2f}\n" for n in range(40))
    sheet = hub.dataset("Accessible table", "table", {"machines.csv": f"id,Type,Torque [Nm]\n{rows}".encode()})["id"]
    parts = {"prompt": 'Type {{ Type }}, {{ row["Torque [Nm]"] }} Nm?', "completion": "{{ Type|lower }}"}
    template = hub.post("/templates", {"name": "Accessible", **parts})["id"]
    rendering = hub.post(f"/datasets/{sheet}/render", {"template": template, "label_column": "Type"})
    hub.until(lambda: hub.get(f"/renderings/{rendering['id']}")["finished_at"], 60, "the rendering")
    pairs = rendering["target"]
    hub.post(f"/datasets/{pairs}/subjects", {"way": "label", "kind": "machine"})
    subject = hub.get("/subjects")["results"][0]["id"]
    own = f"/datasets/{sheet}/sheet"
    return [
        own, f"{own}/templates/new", f"{own}/templates/{template}", f"{own}/templates/{template}/render",
        f"{own}/rows/3", f"{own}/renderings/{rendering['id']}", f"/datasets/{pairs}/pairs",
        f"/datasets/{pairs}/subjects", f"/subjects/{subject}",
    ]  # fmt: skip


def first_item(hub, dataset):
    """The address of a dataset's first item."""
    items = hub.get(f"/datasets/{dataset['id']}/items?page_size=1")["results"]
    return f"/datasets/{dataset['id']}/items/{items[0]['id']}"


def faults(page):
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
    return [
        f"{page.url}: {fault['id']}: {node['html'][:160]}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]


def too_wide(page, widths):
    """What makes a page scroll sideways in windows of these widths, once charts have followed the change."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        try:
            page.wait_for_function(f"() => ({WIDER})() <= 0", timeout=3000)
        except TimeoutError:
            wide, parts = page.evaluate(WIDER), page.evaluate(BEYOND)
            found.append(f"{page.url}: {wide} px wider than the window of {width} px: {parts}")
    return found


def look_at(page, address, colours, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=colours)
    page.goto(address)
    page.wait_for_load_state("load")
    # What is folded away is looked at, too.
    page.evaluate("() => document.querySelectorAll('main details').forEach((part) => { part.open = true; })")


def test_signing_in_has_no_fault(page):
    look_at(page, "/login", "light", 360)
    assert faults(page) == []


@pytest.mark.parametrize(("colours", "width"), LOOKS)
def test_no_page_has_a_fault(signed_in, filled, colours, width):
    page = signed_in
    found = []
    for address in filled:
        look_at(page, address, colours, width)
        found += faults(page)
        found += too_wide(page, [width, NARROWEST] if width < 1000 else [width])
    assert found == []


def test_a_page_that_was_changed_by_the_stream_has_no_fault(signed_in, filled):
    page = signed_in
    running = next(address for address in filled if re.fullmatch(r"/jobs/\d+", address) and is_running(page, address))
    page.goto(running)
    before = page.get_by_test_id("job-step").inner_text()
    page.wait_for_function(
        """(before) => document.querySelector('[data-testid="job-step"]').innerText !== before""", arg=before
    )
    assert faults(page) == []
    page.goto("/monitor")
    shown = page.get_by_test_id("job-card").first.inner_text()
    moved = """(shown) => document.querySelector('[data-testid="job-card"]').innerText !== shown"""
    page.wait_for_function(moved, arg=shown)
    assert faults(page) == []


def is_running(page, address):
    page.goto(address)
    return page.locator("[data-testid=job-actions]").get_by_text("Save a checkpoint").count() > 0


def test_every_action_of_a_running_job_can_be_reached_with_the_keyboard(signed_in, filled):
    page = signed_in
    page.goto(next(address for address in filled if re.fullmatch(r"/jobs/\d+", address) and is_running(page, address)))
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.innerText?.trim().split('\\n')[0] || ''"))
    assert {"Save a checkpoint", "Pause", "Cancel"} <= reached
    page.goto("/jobs")
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.type") == "search"
