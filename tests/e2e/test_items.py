"""Choosing items, changing them and taking it back; players, waiting previews and tables, as a person meets them."""

import csv
import io

import pytest

from tests.datasets.test_previews import sound
from tests.hub.harness import digits

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pictures(newcomers_hub):
    return newcomers_hub.dataset("Digits to choose from", "image", digits(2))["id"]


def boxes(page):
    return page.locator('#list input[name="item"]')


def test_items_are_chosen_set_aside_and_taken_back(signed_in, newcomers_hub, pictures):
    page = signed_in
    page.goto(f"/datasets/{pictures}")
    boxes(page).nth(1).click()
    boxes(page).nth(4).click(modifiers=["Shift"])
    assert page.locator("[data-chosen]").inner_text() == "4 chosen"
    page.get_by_test_id("set-aside").click()
    toast = page.get_by_test_id("toast")
    toast.get_by_text("4 items set aside").wait_for()
    page.locator("#list .is-aside").nth(3).wait_for()  # the stream brought it
    page.locator("#dataset-edits").get_by_text("4 items set aside").wait_for()
    page.wait_for_function("""() => !document.querySelector('#list input[name="item"]:checked')""")
    toast.get_by_test_id("undo").click()
    page.get_by_text("4 items are as before").wait_for()
    page.wait_for_function("() => !document.querySelector('#list .is-aside')")
    assert newcomers_hub.get(f"/datasets/{pictures}/items?aside=yes")["count"] == 0


def test_all_that_fit_are_changed_after_a_question(signed_in, newcomers_hub, pictures):
    page = signed_in
    page.goto(f"/datasets/{pictures}?label=3")
    page.get_by_test_id("all-that-fit").check()
    page.locator('.batch input[name="to_label"]').fill("three")
    page.get_by_test_id("set-label").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("2 items fit your filters").wait_for()
    dialog.get_by_test_id("confirm").click()
    page.get_by_text("2 items: class is now 'three'").wait_for()
    page.locator("#dataset-classes").get_by_text("three").wait_for()
    assert newcomers_hub.get(f"/datasets/{pictures}/items?label=three")["count"] == 2


def test_items_are_removed_by_keyboard_after_a_question(signed_in, newcomers_hub):
    page = signed_in
    made = newcomers_hub.dataset("Digits to remove", "image", digits(1))["id"]
    page.goto(f"/datasets/{made}")
    boxes(page).nth(0).focus()
    page.keyboard.press("Space")
    page.get_by_test_id("remove-items").focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#dialog")
    dialog.get_by_text("Remove 1 item for good?").wait_for()
    page.keyboard.press("Enter")  # the way back has the focus
    dialog.get_by_text("Remove 1 item for good?").wait_for(state="detached")
    assert newcomers_hub.get(f"/datasets/{made}")["item_count"] == 10
    page.get_by_test_id("remove-items").focus()
    page.keyboard.press("Enter")
    dialog.get_by_test_id("confirm").focus()
    page.keyboard.press("Enter")
    page.get_by_text("1 item is removed for good").wait_for()
    page.wait_for_function("""() => document.querySelectorAll('#list input[name="item"]').length === 9""")
    assert newcomers_hub.get(f"/datasets/{made}")["item_count"] == 9
    page.locator("#list figure a").first.click()
    page.get_by_test_id("remove-item").click()
    dialog.get_by_test_id("confirm").click()
    page.wait_for_url(f"**/datasets/{made}")
    page.get_by_text("1 item is removed for good").wait_for()


def test_arrow_keys_lead_through_the_items(signed_in, pictures):
    page = signed_in
    page.goto(f"/datasets/{pictures}")
    page.locator("#list figure a").first.click()
    page.wait_for_url("**/items/*")
    first = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(first)
    page.fill("#caption", "A zero, by hand")
    page.get_by_test_id("save-item").click()
    page.get_by_text("Caption changed.").wait_for()
    page.reload()
    assert page.input_value("#caption") == "A zero, by hand"


def test_a_waveform_comes_by_itself_and_the_player_can_seek(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    made = hub.post("/datasets", {"name": "Tones", "modality": "audio"})["id"]
    page.goto(f"/datasets/{made}")
    hub.upload(made, {f"tones/{n}.wav": sound(20.0 + n) for n in range(3)})
    drawn = "() => [...document.querySelectorAll('img.wave')].filter((one) => one.naturalWidth === 240).length === 3"
    page.wait_for_function(drawn)
    player = page.locator("audio").first
    player.evaluate("(one) => { one.preload = 'auto'; one.load(); }")
    page.wait_for_function("() => document.querySelector('audio').duration > 19")
    player.evaluate("(one) => { one.currentTime = 15; }")
    page.wait_for_function("() => !document.querySelector('audio').seeking")
    assert player.evaluate("(one) => one.currentTime") >= 15


def test_a_table_is_paged_and_plotted(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["at", "load"])
    rows.writerows([f"2024-01-{1 + n // 24:02} {n % 24:02}:00:00", n * 1.5] for n in range(24 * 20))
    table = hub.dataset("Loads by hour", "table", {"loads.csv": out.getvalue().encode()})["id"]
    item = hub.get(f"/datasets/{table}/items")["results"][0]["id"]
    page.goto(f"/datasets/{table}/items/{item}")
    page.locator("[data-plot] .uplot canvas").wait_for()
    assert page.locator("svg.histogram").count() == 2
    page.get_by_test_id("next-rows").click()
    page.get_by_text("26–50 of 480 rows").wait_for()
    assert page.locator("#rows tbody td").first.inner_text() == "26"
