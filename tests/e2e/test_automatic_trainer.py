"""Examples by three models, and a fine-tuning that starts by itself, as a person sets it up and watches it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.writers import TINY, begin, recounted, served, version_of

pytestmark = pytest.mark.e2e


def rows_of(table) -> dict[str, list[str]]:
    """The rows of a table by what stands first in them."""
    found = [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]
    return {row[0]: row[1:] for row in found}


def test_a_person_sets_it_up_watches_it_and_finds_all_of_it_in_the_history(signed_in, newcomers_hub, tmp_path):
    page, hub = signed_in, newcomers_hub
    jobs = [begin(hub, genre) for genre in ("Mystery", "Science fiction", "Drama")]
    mystery, science, drama = (version_of(hub, job) for job in jobs)
    stories = hub.post("/datasets", {"name": "Watched stories", "modality": "text"})["id"]
    tuned = {"recipe": "text-generation", "base_version": mystery, "dataset": stories, "name": "Tuned while watched",
             "config": {name: TINY[name] for name in ("batch_size", "evaluate_every", "evaluation_batches")}
             | {"steps": 10, "sample_every": 0}}  # fmt: skip
    hub.post("/training/templates", {"name": "Tune briefly", "request": tuned})

    with served(hub, drama, tmp_path) as address:
        page.goto("/endpoints")
        for name, value in (("name", "drama"), ("model", "drama"), ("url", address)):
            page.fill(f"input[name={name}]", value)
        page.get_by_test_id("save-endpoint").click()
        expect(page.get_by_role("link", name="drama", exact=True)).to_be_visible()

        page.goto("/automatic")
        page.fill("#generators", f"version {mystery}\nversion {science}\nendpoint drama")
        page.fill("#genres", "Mystery\nScience fiction\nDrama")
        page.fill("#prompts", "Number {number}. {genre}:")
        page.fill("#examples", "60")
        page.fill("#minimum_quality", "0")
        page.select_option("#dataset", label="Watched stories")
        page.fill("#threshold", "50")
        page.select_option("#template", label="Tune briefly")
        page.get_by_label("Start it by itself").check()
        page.get_by_test_id("save-automatic").click()
        expect(page.get_by_test_id("automatic-bar")).to_contain_text("0 of 50 new examples")
        page.get_by_test_id("start-generating").click()
        page.wait_for_url(re.compile(r"/jobs/\d+$"))
        job = int(page.url.rpartition("/")[2])
        # The open page follows the run to its end; nobody loads it again.
        expect(page.get_by_test_id("kept")).to_have_text("60")
        hub.wait_job(job)
    names = {f"version {mystery}": "Mystery teller v1", f"version {science}": "Science fiction teller v1",
             "endpoint drama": "endpoint drama"}  # fmt: skip
    hub.until(lambda: hub.sql("SELECT fine_tuning_triggered FROM history_session WHERE job_id = %s", job) == [(True,)],
              60, "the session")  # fmt: skip
    counted = recounted(hub, job, names)
    wins = {name: told["wins"] for name, told in counted["performance_by_model"].items()}
    examples = page.get_by_test_id("examples")
    for name, won in wins.items():
        row = examples.locator("tr", has=page.get_by_role("cell", name=name, exact=True))
        expect(row.locator("td").nth(1)).to_have_text(str(won))
    for genre, count in counted["genre_distribution"].items():
        expect(examples.locator(".split-row", has_text=genre).locator(".num")).to_have_text(str(count))

    [(session, session_id)] = hub.sql("SELECT id, session_id FROM history_session WHERE job_id = %s", job)
    page.goto("/history?kind=generation")
    row = page.locator(f"#session-row-{session}")
    expect(row).to_contain_text("fine-tuning")
    row.locator(f"[data-opens=session-{session}]").click()
    opened = page.locator(f"#session-more-{session}")
    expect(opened).to_contain_text(str(session_id))
    facts = dict(zip(opened.locator("dt").all_inner_texts(), opened.locator("dd").all_inner_texts(), strict=True))
    assert (facts["Examples"], facts["Fine-tuning"]) == ("60 of 60, 0 failed", "yes")
    assert facts["Collected"] == "0 before, 60 after" and facts["Kept"] == "saved, 60 new items"
    least, most = counted["quality_min"], counted["quality_max"]
    assert facts["Quality"] == f"{counted['quality_average']} ({least}–{most})"
    assert facts["Best model"] == counted["best_model"] and facts["Genres"] == "Mystery, Science fiction, Drama"
    assert {name: int(cells[0]) for name, cells in rows_of(opened.get_by_role("table")).items()} == wins

    page.goto("/history/trends?kind=generation&period=day")
    for name in wins:
        expect(page.locator("main")).to_contain_text(name)
    for title in ("genre", "model"):
        expect(page.get_by_role("heading", name=re.compile(title, re.IGNORECASE)).first).to_be_visible()

    page.goto("/automatic")
    expect(page.get_by_test_id("automatic-bar")).to_contain_text("10 of 50 new examples")
    made = page.locator("section", has_text="Fine-tunings started").last.locator("tbody tr")
    expect(made).to_have_count(1)
    expect(made).to_contain_text("Completed")
    expect(made).to_contain_text("its session")
    made.locator("td.title a").click()
    # Lineage lies folded on the page of a job.
    expect(page.locator(f".lineage a[href='/history/{session}']")).to_have_text("its session")
    expect(page.locator(f".lineage a[href='/jobs/{job}']")).to_have_count(1)
