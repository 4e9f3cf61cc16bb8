"""A real set of each kind, as a person meets it: chosen in the browser, looked at, checked, split, frozen by click."""

import re

import pytest
from playwright.sync_api import expect

from tests import realsets

pytestmark = pytest.mark.e2e

LONG = 60_000  # milliseconds: work in the background, other work may come first


@pytest.fixture
def walk(signed_in, tmp_path):
    """Make a dataset and choose a sample of a real set's files for it, by the pages; waits until it was checked."""
    page = signed_in

    def bring(name, modality, items, label_from=""):
        folder = tmp_path / name
        for path, content in getattr(realsets, name)().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        page.goto("/datasets")
        page.get_by_test_id("new-dataset").click()
        page.fill("#name", f"{name}, by hand")
        page.check(f"#modality-{modality}")
        page.get_by_test_id("create-dataset").click()
        if label_from:
            page.get_by_text("Classes that stand in the names of files").click()
            page.fill("#add-label-from", label_from)
        page.get_by_test_id("upload-folder-input").set_input_files(folder)
        expect(page.get_by_test_id("import").first).to_contain_text(re.compile("completed", re.I), timeout=LONG)
        expect(page.get_by_test_id("item-count")).to_contain_text(in_figures(items))
        return page

    return bring


def in_figures(count):
    """A number as pages write it."""
    return re.compile(r"[,\u202f\s]?".join(re.findall(r"\d{1,3}(?=(?:\d{3})*$)", str(count))))


def tab(page, name):
    page.get_by_role("navigation", name="Pages of this dataset").get_by_role("link", name=name, exact=True).click()


def open_item(page, name):
    """From the list to an item's own page."""
    page.locator("#list").get_by_role("link", name=name).first.click()
    page.wait_for_url("**/items/*")
    expect(page.locator("dl.facts", has_text="SHA-256").first).to_be_visible()


def is_checked(page):
    """On the page Quality, once the check that the import began has ended; the score that it tells."""
    tab(page, "Quality")
    score = page.get_by_test_id("quality-score")
    score.wait_for(timeout=LONG)
    return float(re.match(r"[\d.]+", score.inner_text()).group())


def freeze(page, items):
    """Split and freeze by click; the version holds what the page foretold, which is every item."""
    tab(page, "Items")
    page.fill("#seed", "3")
    with page.expect_response(re.compile(r"/split\?.*validation_fraction=0\.25")):
        page.fill("#validation_fraction", "0.25")
        page.locator("#validation_fraction").blur()
    page.get_by_test_id("freeze").click()
    page.get_by_text("is frozen: the same items and split whenever it is used").wait_for()
    foretold = page.get_by_test_id("split").locator(".split-row .num")
    expect(foretold).to_have_count(3)
    held = [int(re.sub(r"\D", "", said.split("·")[0])) for said in foretold.all_inner_texts()]
    assert sum(held) == items and (items == 1 or 0.1 * items < held[1] < 0.4 * items)
    tab(page, "Versions")
    page.get_by_role("link", name="v1", exact=True).click()
    facts = page.locator("section", has=page.get_by_role("heading", name="What it holds")).locator("dd")
    for place, count in enumerate(held):
        expect(facts.nth(place)).to_have_text(in_figures(count))
    page.get_by_text("Nothing: every item of the dataset passed its gates.").wait_for()


def test_photos_of_signs(walk):
    page = walk("sign_digits", "image", 60)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#list img')].slice(0, 6).every((one) => one.naturalWidth === 100)"
    )
    open_item(page, "IMG_1118.JPG")
    expect(page.locator("dl.facts", has_text="SHA-256")).to_contain_text("100 × 100 pixels")
    expect(page.locator("#label")).to_have_value("0")
    page.go_back()
    assert is_checked(page) > 90
    freeze(page, 60)


def test_messages_with_their_class(walk):
    page = walk("sms_spam", "text", 1925)
    classes = page.locator("#dataset-classes")
    expect(classes).to_contain_text(in_figures(1655))
    expect(classes).to_contain_text("270")
    page.get_by_text("Set aside, and why").first.click()
    expect(page.get_by_test_id("refusals")).to_contain_text("Its content is in the dataset already")
    open_item(page, "sms.tsv:1")
    expect(page.get_by_text("Go until jurong point, crazy..").first).to_be_visible()
    page.go_back()
    assert 80 < is_checked(page) < 100
    expect(page.locator("#reason-near_duplicate")).to_contain_text("Almost the same as another item")
    expect(page.locator("#reason-class_imbalance")).to_have_count(0)
    page.locator("#reason-personal_data a.title").click()
    expect(page.locator("#findings")).to_contain_text("a telephone number")
    freeze(page, 1925)


def test_spoken_digits(walk):
    page = walk("fsdd", "audio", 60, label_from="{label}_{group}_*.wav")
    page.wait_for_function(
        "() => [...document.querySelectorAll('img.wave')].filter((one) => one.naturalWidth === 240).length > 5"
    )
    open_item(page, "0_george_3.wav")
    page.wait_for_function("() => document.querySelector('audio').duration > 0.1")
    expect(page.locator("#label")).to_have_value("0")
    expect(page.locator("#group")).to_have_value("george")
    page.go_back()
    assert is_checked(page) > 95
    freeze(page, 60)


def test_clips_of_three_scenes(walk):
    page = walk("intel_clips", "video", 23)
    page.get_by_text("Set aside, and why").first.click()
    expect(page.get_by_test_id("refusals")).to_contain_text("It lists 37 files that are not in this upload")
    open_item(page, "car_park_00.mp4")
    page.wait_for_function("() => document.querySelector('video').duration > 1.5")
    page.go_back()
    assert 70 < is_checked(page) < 100
    expect(page.locator("#reason-still")).to_contain_text("Its frames do not change")
    freeze(page, 23)


def test_a_series_of_a_transformer(walk):
    page = walk("etth1", "table", 1)
    open_item(page, "ETTh1.csv")
    page.locator("[data-plot] .uplot canvas").wait_for()
    expect(page.locator("figure[data-plot]")).to_contain_text("By date")
    expect(page.locator("#rows")).to_contain_text(re.compile(r"of 17[,\u202f\s]?420 rows"))
    page.go_back()
    assert is_checked(page) == 100
    freeze(page, 1)
