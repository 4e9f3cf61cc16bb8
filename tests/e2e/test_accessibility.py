"""What only a hub at work shows has no fault that axe can see, light or dark, wide or narrow: jobs that run, wait and
have ended, their figures, nodes, and what was made of them. Every page as it is drawn: tests/pages/test_looks.py."""

import re

import pytest

from tests.e2e.looks import LOOKS, NARROWEST, faults, look_at, too_wide
from tests.hub.harness import digits, manual_text

pytestmark = pytest.mark.e2e

LIVE = ["/", "/monitor", "/queue", "/jobs", "/nodes", "/history"]


@pytest.fixture(scope="module")
def filled(newcomers_hub):
    """Addresses of pages with something at work on each."""
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
    yield [
        *LIVE, "/nodes/test", "/history/trends", f"/jobs/{done}", f"/jobs/{failed}", f"/jobs/{running}",
        f"/jobs/{waiting}", f"/jobs/{held}", f"/jobs/{after}", f"/jobs/new?from={held}",
        f"/jobs/new?dataset={images['id']}", f"/history/compare?runs={done},{failed},{running}", f"/versions/{version}",
        f"/versions/{version}/changes", f"/versions/{version}/promote", f"/models/{model}",
        f"/datasets/{texts['id']}/quality", f"/datasets/{images['id']}", first_item(hub, images),
    ]  # fmt: skip
    for job in (after, held, waiting, running):
        hub.post(f"/training/jobs/{job}/cancel")
        hub.wait_job(job, "cancelled")


def first_item(hub, dataset):
    """The address of a dataset's first item."""
    items = hub.get(f"/datasets/{dataset['id']}/items?page_size=1")["results"]
    return f"/datasets/{dataset['id']}/items/{items[0]['id']}"


def test_signing_in_has_no_fault(page):
    look_at(page, "/login", "light", 360)
    assert faults(page) == []


@pytest.mark.parametrize(("colours", "width"), LOOKS)
def test_no_page_of_a_hub_at_work_has_a_fault(signed_in, filled, colours, width):
    page = signed_in
    found = []
    # Pages share their parts and colours: each is seen in one of the looks, those that are live in both.
    turn = LOOKS.index((colours, width))
    for address in [*LIVE, *filled[len(LIVE) :][turn :: len(LOOKS)]]:
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
