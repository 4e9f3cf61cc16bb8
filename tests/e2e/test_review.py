"""Reviewing with the keyboard alone, and the pages of gates as axe sees them."""

import pytest

from tests.hub.harness import digits

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def gated(newcomers_hub):
    """A dataset of pictures that one person must approve and a rule must allow."""
    hub = newcomers_hub
    made = hub.dataset("Gated digits", "image", digits(4))
    hub.post("/governance/rules", {
        "name": "licensed digits", "decision": "allow", "reason": "Its licence allows it.", "dataset": made["id"],
        "condition": {"field": "licence", "is": "in", "value": ["CC0"]},
    })  # fmt: skip
    hub.call("PATCH", f"/datasets/{made['id']}/gates", {"approvals": 1, "governed": True})
    return made["id"]


def shown(page):
    return page.get_by_test_id("review-item").get_attribute("data-item")


def moved_on(page, before):
    item = """(before) => document.querySelector('[data-testid="review-item"]')?.dataset.item !== before"""
    page.wait_for_function(item, arg=before)


def test_items_are_judged_by_keyboard_alone(signed_in, gated, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    page.goto(f"/datasets/{gated}/review")
    first = shown(page)
    page.keyboard.press("a")
    moved_on(page, first)
    second = shown(page)
    page.keyboard.press("r")
    assert page.evaluate("() => document.activeElement.id") == "reason", "a rejection asks for its reason"
    page.keyboard.type("A smudge, no digit: r a c")
    page.keyboard.press("Enter")
    moved_on(page, second)
    third = shown(page)
    page.keyboard.press("c")
    page.keyboard.type("The class is wrong.")
    page.keyboard.press("Enter")
    moved_on(page, third)
    fourth = shown(page)
    page.keyboard.press("u")
    moved_on(page, fourth)
    assert shown(page) == third, "the last vote is taken back"
    page.keyboard.press("n")
    moved_on(page, third)
    states = hub.get(f"/datasets/{gated}/review")["states"]
    assert (states["approved"], states["rejected"], states["change"]) == (1, 1, 0)
    page.get_by_label("Single keys").uncheck()
    page.keyboard.press("Tab")
    page.keyboard.press("a")
    page.reload()
    assert not page.get_by_label("Single keys").is_checked(), "the browser remembers it"
    assert hub.get(f"/datasets/{gated}/review")["states"]["approved"] == 1, "the keys are switched off"
    page.get_by_label("Single keys").check()


def test_a_long_text_is_read_on_by_key(signed_in, newcomers_hub):
    page = signed_in
    words = "".join(f"{n} - line of a long text\n" for n in range(9000))
    made = newcomers_hub.dataset("A long text", "text", {"long.txt": words.encode()})
    newcomers_hub.call("PATCH", f"/datasets/{made['id']}/gates", {"approvals": 1})
    page.goto(f"/datasets/{made['id']}/review")
    told = "() => document.querySelector('.review-text').textContent"
    assert "8999 - line" not in page.evaluate(told)
    for _ in range(2):
        link = page.get_by_test_id("read-on")
        address = link.get_attribute("href")
        page.keyboard.press("m")
        page.wait_for_function(
            "(before) => document.querySelector('[data-testid=\"read-on\"]')?.getAttribute('href') !== before",
            arg=address,
        )
    assert page.evaluate(told).rstrip("\n") == words.rstrip("\n"), "it is read to its end, and nothing is doubled"
    assert page.get_by_test_id("read-on").count() == 0


def test_gates_are_set_on_their_page(signed_in, gated, newcomers_hub):
    page = signed_in
    page.goto(f"/datasets/{gated}/gates")
    page.get_by_label("Licence").fill("CC0")
    page.get_by_test_id("set-gates").click()
    page.get_by_text("The gates of 'Gated digits' are set").first.wait_for()
    page.get_by_test_id("gates-passed").get_by_text("Refused by a rule", exact=True).wait_for(state="detached")
    assert newcomers_hub.get(f"/datasets/{gated}/gates")["metadata"] == {"licence": "CC0"}
