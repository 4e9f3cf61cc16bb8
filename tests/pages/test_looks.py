"""No page has a fault that axe can see, and none is wider than its window: each page of the hub, rendered here, shown
by a real browser that has no hub."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import sync_playwright

from tests.browser import launch_arguments
from tests.e2e.looks import LOOKS, NARROWEST, faults, look_at, too_wide
from tests.pages.busy import make_busy
from tests.pages.conftest import HTMX
from tests.pages.test_shell import FRAGMENTS

HUB = "http://hub.test"
WHOLE = 6  # pages of which all is looked at
# What a screen reader would say of the element with the focus, and whether a line is drawn around it.
SAID = """() => { const here = document.activeElement;
    return (here.labels?.[0]?.innerText || here.innerText || here.getAttribute('aria-label') || '').trim(); }"""
MARKED = """() => { const look = getComputedStyle(document.activeElement);
    return look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2; }"""
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "map": "application/json"}
PICTURES = re.compile(r'<(?:img|source)[^>]* src="(/(?!static)[^"]+)"')
KEPT = ("Content-Type", "Content-Security-Policy")
DIALOGS = re.compile(r'hx-get="([^"]+)" hx-target="#dialog"')


class Rendered:
    """What the hub answers, asked before there is a browser: while one runs, its event loop keeps the ORM from
    working."""

    def __init__(self, client, addresses) -> None:
        self.client = client
        self.answers: dict[tuple[str, bool], tuple[int, dict[str, str], bytes]] = {}
        self.posted: list[tuple[str, str]] = []
        self.pages = [address for address in addresses if self.is_page(address)]
        for address in self.pages:
            html = self.answers[address, False][2].decode()
            for picture in PICTURES.findall(html):
                self.ask(picture)
            for dialog in DIALOGS.findall(html):
                self.ask(dialog, True)

    def ask(self, address: str, fragment: bool = False) -> tuple[int, dict[str, str], bytes]:
        address = address.replace("&amp;", "&")
        answer = self.client.get(address, headers=HTMX if fragment else {})
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        headers = {name: answer.headers[name] for name in KEPT if name in answer.headers}
        return self.answers.setdefault((address, fragment), (answer.status_code, headers, body))

    def is_page(self, address: str) -> bool:
        """Whether it is a page, and no part, file, or way to elsewhere."""
        status, headers, body = self.ask(address)
        return status in (200, 404) and headers.get("Content-Type", "").startswith("text/html") and b"<html" in body

    def looked_at(self) -> list[str]:
        """The pages, and of the questions whether somebody is sure, which are one template, some."""
        asks = [address for address in self.pages if b'class="confirm"' in self.answers[address, False][2]]
        return [address for address in self.pages if address not in asks[4:]]

    def fulfil(self, route) -> None:
        """Answer the browser as the hub did; what was never asked, such as a stream, is waited for."""
        request = route.request
        split = urlsplit(request.url)
        address = split.path + (f"?{split.query}" if split.query else "")
        if request.method == "POST":
            self.posted.append((address, request.post_data or ""))
            route.fulfill(status=204)
        elif found := split.path.startswith("/static/") and finders.find(split.path.removeprefix("/static/")):
            route.fulfill(path=found, content_type=KINDS[split.path.rpartition(".")[2]])
        elif known := self.answers.get((address, "hx-request" in request.headers)):
            route.fulfill(status=known[0], headers=known[1], body=known[2])
        elif request.resource_type in ("document", "image", "script", "stylesheet", "media", "font"):
            route.abort()


@pytest.fixture
def administrator_of_all(owner):
    """Alice may do everything, so each page has each button."""
    owner.is_staff = owner.is_superuser = True
    owner.save()
    return owner


@pytest.fixture
def busy(administrator_of_all, world):
    return make_busy(administrator_of_all, world.prediction)


def window(playwright, rendered):
    """A browser that knows what was rendered, and nothing else."""
    context = playwright.chromium.launch(**launch_arguments()).new_context(base_url=HUB)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.route("**/*", rendered.fulfil)
    return page


def test_no_page_has_a_fault_and_none_is_wider_than_its_window(client, owner, busy, pages):
    client.force_login(owner)
    rendered = Rendered(client, [*pages.values(), *busy.values()])
    left_out = {name for name, address in pages.items() if address not in rendered.pages}
    assert left_out <= FRAGMENTS, "only parts and files are left out"
    found = []
    with sync_playwright() as playwright:
        page = window(playwright, rendered)
        page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
        # Pages share their parts and colours: each is seen in one of the looks.
        for place, address in enumerate(rendered.looked_at()):
            colours, width = LOOKS[place % len(LOOKS)]
            look_at(page, address, colours, width)
            # What stands around each page is the same.
            found += faults(page, within=None if place < WHOLE or not page.locator("main").count() else "main")
            found += too_wide(page, [1280, 360, NARROWEST] if width > 1000 else [360, NARROWEST, 1280])
    assert not found, "\n".join(found)


def reach(page, words):
    """Go on with the Tab key to what begins with these words, and see that it shows where one is."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(SAID).startswith(words):
            assert page.evaluate(MARKED), words
            return
    raise AssertionError(f"{words} can't be reached on {page.url}")


def test_what_people_decide_is_done_by_keyboard_alone(client, owner, busy, world):
    client.force_login(owner)
    new = f"/performance/experiments/new?model={world.version.model_id}"
    test, promote, alert = busy["running-experiment"], busy["free-promote"], f"/performance/alerts/{world.alert.pk}"
    retraining, version = busy["decide-retraining"], f"/versions/{world.version.pk}"
    rendered = Rendered(client, [new, test, promote, alert, retraining, version])
    said = rendered.posted
    with sync_playwright() as playwright:
        page = window(playwright, rendered)

        page.goto(test)
        reach(page, "Stop")
        page.keyboard.press("Enter")
        page.wait_for_selector("#dialog[open]")
        assert page.evaluate(SAID).startswith("Let it run"), "what loses nothing is chosen first"
        page.keyboard.press("Escape")
        page.wait_for_selector("#dialog:not([open])", state="attached")
        assert page.evaluate(SAID).startswith("Stop") and not said
        page.keyboard.press("Enter")
        page.wait_for_selector("#dialog[open]")
        reach(page, "Stop")
        page.keyboard.press("Enter")
        page.wait_for_selector("#dialog:not([open])", state="attached")
        assert [address for address, _ in said] == [f"{test}/stop"]

        page.goto(promote)
        reach(page, "Reason")
        page.keyboard.type("Better on each site.")
        reach(page, "Promote")
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        assert said[-1][0] == promote and "Better+on+each+site." in said[-1][1]

        page.goto(alert)
        reach(page, "Acknowledge")
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        assert said[-1][0] == f"{alert}/acknowledge"

        page.goto(retraining)
        reach(page, "Approve")
        page.keyboard.press("Space")
        page.wait_for_timeout(100)
        assert said[-1][0] == f"{retraining}/decide" and "approve" in said[-1][1]

        page.goto(new)
        reach(page, "v1")
        page.keyboard.press("Space")
        reach(page, "Begin")
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        assert said[-1][0].startswith("/performance/experiments/new")

        page.goto(version)
        reach(page, "Prompt")
        page.keyboard.type("Once")
        reach(page, "Generate")
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        assert said[-1][0].startswith(f"{version}/try")
