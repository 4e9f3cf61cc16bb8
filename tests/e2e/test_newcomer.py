"""The newcomer's whole path in a real browser: from signing in to an image classified by a model of their own."""

import re

import pytest
from playwright.sync_api import expect

from tests.hub.harness import digits

pytestmark = pytest.mark.e2e

PERCENT_ABOVE = """(low) => parseFloat(document.querySelector('[data-testid="job-percent"]').textContent) > low"""


def value_of(page, name):
    """The number that an element shows, without unit."""
    text = page.get_by_test_id(name).inner_text()
    found = re.search(r"-?[\d.]+", text.replace(",", "").replace("\u202f", ""))
    return float(found.group()) if found else None


def test_from_a_folder_of_images_to_a_classified_image(signed_in, newcomers_hub, tmp_path):
    page = signed_in
    for name, content in digits(each=100).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "digits" / "3" / "notes.png").write_text("this is not an image")

    # A dataset from a folder; the class is the folder's name.
    page.goto("/datasets")
    page.get_by_test_id("new-dataset").first.click()
    page.fill("#name", "Digits of mine")
    page.check("#modality-image")
    page.get_by_test_id("create-dataset").click()
    page.get_by_test_id("upload-folder-input").set_input_files(tmp_path / "digits")
    expect(page.get_by_test_id("import").first).to_contain_text(re.compile("completed", re.IGNORECASE), timeout=60_000)
    expect(page.get_by_test_id("item-count")).to_contain_text(re.compile(r"1[,\u202f\s]?000"))
    page.get_by_text("Set aside, and why").click()
    expect(page.get_by_test_id("refusals")).to_contain_text("notes.png")

    # A job on it.
    page.get_by_test_id("train-on-this").click()
    expect(page.get_by_test_id("split")).to_contain_text(re.compile(r"\d+"))
    page.locator("[id='config.epochs']").fill("15")  # as many as 'auto' takes are for the engine's tests
    page.get_by_test_id("start-job").click()
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    job = page.url.rsplit("/", 1)[1]

    # Loss and percent move without a reload.
    page.evaluate("() => { window.notReloaded = true }")
    page.wait_for_function(PERCENT_ABOVE, arg=0)
    percent, loss = value_of(page, "job-percent"), value_of(page, "job-loss")
    moved = """([percent, loss]) => {
        const read = (name) => parseFloat(document.querySelector(`[data-testid="${name}"]`)?.textContent);
        return read('job-percent') > percent && read('job-loss') < loss;
    }"""
    page.wait_for_function(moved, arg=[percent, loss], timeout=60_000)
    expect(page.get_by_test_id("job-result")).to_be_visible(timeout=120_000)
    assert page.evaluate("() => window.notReloaded") is True
    done = newcomers_hub.job(job)
    assert done["status"] == "completed"
    assert done["metrics"]["validation/accuracy"] > 0.9

    # Its result, tried with an image.
    page.get_by_test_id("job-result").get_by_test_id("model-version").click()
    page.get_by_test_id("prediction-input").set_input_files(next((tmp_path / "digits" / "3").glob("[0-9]*.png")))
    page.get_by_test_id("try-version").click()
    expect(page.get_by_test_id("prediction-output")).to_be_visible(timeout=90_000)
    expect(page.get_by_test_id("prediction-label").first).to_contain_text("3")

    # The run in the history.
    page.goto("/history")
    row = page.get_by_test_id("session-row").first
    expect(row).to_contain_text("Digits of mine", timeout=60_000)


def test_text_is_generated_in_the_browser(signed_in, newcomers_hub):
    from tests.hub.harness import manual_text

    page = signed_in
    dataset = newcomers_hub.dataset("Manual", "text", manual_text())
    config = {"layers": 1, "heads": 2, "width": 32, "block_size": 32, "steps": 60, "sample_every": 30}
    body = {"recipe": "text-generation", "dataset": dataset["id"], "config": config}
    job = newcomers_hub.post("/training/jobs", body)["id"]
    version = newcomers_hub.wait_job(job)["model_version"]
    page.goto(f"/versions/{version['id'] if isinstance(version, dict) else version}")
    page.get_by_test_id("prediction-input").fill("The ")
    page.get_by_test_id("try-version").click()
    expect(page.get_by_test_id("prediction-output")).to_contain_text("The ", timeout=90_000)


def test_a_lost_connection_is_shown_and_the_page_catches_up(signed_in, newcomers_hub):
    page = signed_in
    body = {"recipe": "simulate", "name": "watched", "config": {"steps": 400, "step_seconds": 0.05}}
    job = newcomers_hub.post("/training/jobs", body)["id"]
    newcomers_hub.wait_step(job, 5)
    page.goto(f"/jobs/{job}")
    page.wait_for_function(PERCENT_ABOVE, arg=1)
    page.context.set_offline(True)
    web = next(process for process in newcomers_hub.processes() if "uvicorn" in " ".join(process.cmdline()))
    web.kill()
    expect(page.locator("#connection")).to_be_visible()
    page.context.set_offline(False)
    newcomers_hub.until(newcomers_hub.healthy, 30, "the web process to be back")
    step = newcomers_hub.job(job)["current_step"]
    caught_up = """(step) => parseFloat(document.querySelector('[data-testid="job-step"]').textContent) >= step"""
    page.wait_for_function(caught_up, arg=step, timeout=90_000)
    expect(page.locator("#connection")).to_be_hidden()
    newcomers_hub.post(f"/training/jobs/{job}/cancel")
    newcomers_hub.wait_job(job, "cancelled")
