"""What every page has: landmarks, one heading, a strict policy, colours as the person chose."""

import re
from html.parser import HTMLParser

from tests.pages.conftest import HTMX

FRAGMENTS = {
    "job-new-split", "job-new-prompts", "job-metrics-file", "job-sample", "version-picture",
    "job-new-expected", "job-log", "job-log-file", "dataset-split", "version-file", "node-action", "schedule-preview",
    "audit",
    "model-names-part",
    "version-export",
    "retraining-words",
}  # fmt: skip


class Outline(HTMLParser):
    """Tags, ids and suspicious attributes of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.inline = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(given["id"])
        if "style" in given or any(name.startswith("on") for name in given) or (tag == "script" and "src" not in given):
            self.inline.append((tag, given))


def test_each_page_has_its_landmarks_one_heading_and_no_inline_code(page, pages):
    for name in set(pages) - FRAGMENTS:
        html = page.get(pages[name]).content.decode()
        outline = Outline(html)
        assert outline.tags.count("h1") == 1, name
        assert outline.tags.count("main") == 1, name
        assert "nav" in outline.tags, name
        assert re.search(r"<title>\S.* · TrainHub</title>", html), name
        assert not outline.inline, name
        assert len(outline.ids) == len(set(outline.ids)), (name, [i for i in outline.ids if outline.ids.count(i) > 1])


def test_every_page_carries_the_strict_policy_and_htmx_switches(page):
    answer = page.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "style-src 'self';" in policy
    html = answer.content.decode()
    for switch in ('"selfRequestsOnly": true', '"allowEval": false', '"allowScriptTags": false',
                   '"historyCacheSize": 0', '"mode": "same-origin"', '"includeIndicatorCSS": false'):  # fmt: skip
        assert switch in html


def test_colours_follow_the_system_until_chosen(page):
    assert "data-bs-theme" not in page.get("/").content.decode()
    answer = page.post("/theme", {"theme": "dark", "next": "/jobs"})
    assert answer.url == "/jobs"
    assert 'data-bs-theme="dark"' in page.get("/").content.decode()
    page.post("/theme", {"theme": "auto"})
    assert "data-bs-theme" not in page.get("/").content.decode()


def test_a_made_up_theme_is_not_repeated(page):
    page.cookies["theme"] = '"><script>'
    assert "<script>" not in page.get("/").content.decode()


def test_the_way_back_stays_on_the_hub(page):
    assert page.post("/theme", {"theme": "dark", "next": "https://evil.test/"}).url == "/"
    assert page.post("/theme", {"theme": "dark", "next": "//evil.test/"}).url == "/"


def test_an_unknown_address_says_so_in_words(page):
    answer = page.get("/nowhere")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_a_problem_is_a_page_or_a_toast(page, world):
    whole = page.get("/jobs/999999")
    assert whole.status_code == 404 and "<h1>Not found</h1>" in whole.content.decode()
    toast = page.get("/jobs/999999", headers=HTMX)
    assert toast.status_code == 404 and 'hx-target="#toasts"' in toast.content.decode()


def test_a_form_without_its_token_is_refused_in_words(owner):
    from django.test import Client

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    answer = browser.post("/jobs/new", {"recipe": "simulate"})
    assert answer.status_code == 403 and "out of date" in answer.content.decode()
    answer = browser.post("/jobs/new", {"recipe": "simulate"}, headers=HTMX)
    assert answer.status_code == 403 and "#toasts" in answer.content.decode()
