"""An adapter is merged on its page while someone watches: first without its base, then with it."""

import pytest

from tests.hub.test_merging import trained_adapter

pytestmark = pytest.mark.e2e

MERGED = 120_000  # milliseconds: a process that loads transformers, on a busy machine


def test_a_merge_that_failed_is_tried_again_and_the_page_shows_it_all(signed_in, newcomers_hub):
    page, hub = signed_in, newcomers_hub
    _, adapter = trained_adapter(hub)
    base = hub.home / "models" / "llama"
    base.rename(base.with_name("away"))
    page.goto(f"/versions/{adapter}")
    page.get_by_test_id("merge-version").click()
    page.locator("#dialog").get_by_test_id("confirm").click()
    page.get_by_text("being merged. Watch it here.").wait_for()
    version = int(page.url.rpartition("/")[2])
    assert version != adapter
    page.get_by_test_id("merge-failed").get_by_text("is not there any more").wait_for(timeout=MERGED)
    base.with_name("away").rename(base)
    page.get_by_test_id("merge-again").click()
    page.get_by_test_id("prediction-input").wait_for(timeout=MERGED)
    assert page.locator("#version h1 + .state").inner_text() == "Ready"
    page.get_by_test_id("prediction-input").fill("Anna has 3 apples.")
    page.get_by_test_id("try-version").click()
    page.get_by_test_id("prediction-output").wait_for(timeout=MERGED)
    page.get_by_text("Adapter", exact=True).wait_for()
    page.goto(f"/versions/{adapter}")
    page.get_by_test_id("merged-into").get_by_role("link").click()
    page.wait_for_url(f"**/versions/{version}")
    assert hub.get(f"/versions/{version}")["status"] == "ready"
