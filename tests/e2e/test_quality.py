"""A dataset is checked while someone watches, duplicates are set aside and taken back, on a real hub."""

import pytest

from tests.hub.harness import digits

pytestmark = pytest.mark.e2e

CHECKED = 60_000  # milliseconds: other work may come first
STORY = b"The fox saw the grapes hanging high above the wall, and went away saying that they were sour. "


def test_a_check_is_watched_and_duplicates_are_set_aside_and_taken_back(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    files = {"a.txt": STORY, "b.txt": STORY.upper(), "c.txt": b"A crow who was thirsty found a jug with water. " * 2}
    dataset = hub.dataset("Fables to check", "text", files)["id"]
    page.goto(f"/datasets/{dataset}/quality")
    reason = page.locator("#reason-duplicate")
    reason.wait_for(timeout=CHECKED)  # the import had it checked; the stream brings what was found
    reason.get_by_text("Keep the first").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("Set 1 item aside?").wait_for()
    dialog.get_by_test_id("confirm").click()
    page.get_by_text("1 item set aside.").wait_for()
    page.get_by_test_id("lately").get_by_text("Take back").click()
    page.get_by_text("1 item taken back.").wait_for()
    page.get_by_test_id("lately").wait_for(state="detached")
    reason.wait_for()
    assert hub.get(f"/datasets/{dataset}/items?aside=yes")["count"] == 0


def test_a_dataset_that_is_not_checked_by_itself_is_checked_by_a_button(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    dataset = hub.post("/datasets", {"name": "Digits to check", "modality": "image"})["id"]
    page.goto(f"/datasets/{dataset}/quality")
    page.get_by_label("By itself, after each import").uncheck()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("It is checked only when you ask for it.").wait_for()
    hub.upload(dataset, digits(1))
    hub.until(lambda: hub.get(f"/datasets/{dataset}")["status"] == "active", 60, "the import")
    page.goto(f"/datasets/{dataset}/quality")
    page.get_by_test_id("check-quality").click()
    page.get_by_text("The check goes on in the background").wait_for()
    page.get_by_test_id("quality-score").wait_for(timeout=CHECKED)
