"""A real hub, and a real browser in front of it."""

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser import launch_arguments
from tests.hub.harness import PASSWORD, running

expect.set_options(timeout=60_000)  # on a busy machine; what holds is seen at once


@pytest.fixture(scope="package")
def newcomers_hub():
    """A hub as a newcomer finds it: nothing in it."""
    yield from running(prepared=False, TRAINHUB_ALLOW_INTERNAL_ENDPOINTS="127.0.0.1")


@pytest.fixture(scope="package")
def chromium():
    """Ended with these tests: while it runs, its event loop would keep the ORM of other tests from working."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_arguments())
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, newcomers_hub):
    """A fresh browser window; an error on a page fails the test that saw it."""
    context = chromium.new_context(base_url=newcomers_hub.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert not errors, errors


@pytest.fixture
def signed_in(page):
    page.goto("/login")
    page.fill('input[name="username"]', "admin")
    page.fill('input[name="password"]', PASSWORD)
    page.click('[data-testid="sign-in"]')
    page.wait_for_url("**/")
    return page
