"""The page that browses the API works under its content policy, in a real browser."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import launch_arguments
from tests.hub.harness import PASSWORD

pytestmark = [pytest.mark.hub, pytest.mark.e2e]


def test_an_endpoint_is_tried_on_the_page_and_nothing_is_loaded_from_elsewhere(hub):
    complaints, elsewhere = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_arguments())
        page = browser.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith((hub.url, "data:")) else elsewhere.append(sent.url))
        page.goto(f"{hub.url}/login")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto(f"{hub.url}/api/v1/docs")
        page.click("#operations-auth-auth_me .opblock-summary-control")
        page.click("#operations-auth-auth_me .try-out__btn")
        page.click("#operations-auth-auth_me .execute")
        shown = page.locator("#operations-auth-auth_me .live-responses-table tbody")
        shown.wait_for()
        assert '"username": "admin"' in shown.inner_text().replace("\xa0", " ")
        browser.close()
    assert complaints == []
    assert elsewhere == []
