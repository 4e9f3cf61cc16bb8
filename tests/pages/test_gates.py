"""The pages of gates and reviews, as people use them."""

from __future__ import annotations

import html
import re

import pytest

from common.files import store
from datasets import overview
from datasets.gating import governance, views
from datasets.gating.switches import set_gates
from datasets.models import Item
from datasets.reviewing import reviews
from datasets.reviewing import views as review_views
from tests.pages.conftest import HTMX


@pytest.fixture
def dataset(world):
    return world.dataset


def text(answer) -> str:
    return " ".join(answer.content.decode().split())


def test_gates_are_switched_and_data_described(page, dataset, owner):
    form = {
        "approvals": "2",
        "governed": "on",
        "licence": "CC0",
        "personal_data": "no",
        "more": "site: Lyon\nyear: 2026",
    }
    answer = page.post(f"/datasets/{dataset.pk}/gates/change", form, follow=True)
    assert "are set. The rules are being applied" in text(answer)
    dataset.refresh_from_db()
    assert (dataset.approvals, dataset.governed) == (2, True)
    assert dataset.metadata == {"licence": "CC0", "personal_data": False, "site": "Lyon", "year": 2026}
    governance.work(dataset.pk)
    shown = text(page.get(f"/datasets/{dataset.pk}/gates"))
    assert 'value="CC0"' in shown and "year: 2026" in shown and "Two persons must approve" in shown
    assert "Not approved yet" in shown and "Ours." in shown, "its own rule allows it"
    wrong = page.post(f"/datasets/{dataset.pk}/gates/change", form | {"more": "no colon"})
    assert wrong.status_code == 400 and "has no colon" in text(wrong)


KEPT = {
    "n": "12", "zip": "01234", "flag": "true", "note": "a\nb: c\r\nd", "quoted": '"so"', "spaced": " x ", "empty": "",
    "number": 12, "share": 0.5, "whole": 2.0, "yes": True, "under": "1_000", "line": "a\u2028b", "licence": 12,
    "source": "two\nlines", "consent": " yes ", "personal_data": True,
}  # fmt: skip


def test_saving_the_page_changes_nothing_that_nobody_touched(page, dataset, owner):
    set_gates(dataset, owner, approvals=0, metadata=KEPT)
    shown = page.get(f"/datasets/{dataset.pk}/gates").content.decode()
    typed = {name: html.unescape(re.search(rf'name="{name}" value="([^"]*)"', shown)[1]) for name in views.KNOWN}
    more = html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", shown, re.DOTALL)[1])
    form = {**typed, "approvals": "0", "personal_data": "yes", "more": more.replace("\n", "\r\n")}
    page.post(f"/datasets/{dataset.pk}/gates/change", form)
    dataset.refresh_from_db()
    assert dataset.metadata == KEPT
    assert {key: type(value) for key, value in dataset.metadata.items()} == {k: type(v) for k, v in KEPT.items()}
    page.post(f"/datasets/{dataset.pk}/gates/change", form | {"licence": "CC0", "more": 'zip: "0"\nn: 0'})
    dataset.refresh_from_db()
    assert (dataset.metadata["licence"], dataset.metadata["zip"], dataset.metadata["n"]) == ("CC0", "0", 0)


def test_shares_that_leave_items_without_approval_are_told_on_the_page(page, dataset, owner, stranger):
    set_gates(dataset, owner, approvals=2)
    dataset.reviewers.all().delete()
    address = f"/datasets/{dataset.pk}/gates"
    said = text(page.post(f"{address}/reviewers", {"username": stranger.username, "share": "50"}, follow=True))
    assert said.count("The shares add up to 50 %") == 2, "in the answer, and on the page"


def test_a_reviewer_is_let_in_votes_and_takes_back(page, client, dataset, owner, stranger, django_user_model):
    set_gates(dataset, owner, approvals=1)
    review = f"/datasets/{dataset.pk}/review"
    client.force_login(stranger)
    assert client.get(review).status_code == 404
    assert "Nothing to review" in text(client.get("/reviews"))
    client.force_login(owner)
    given = {"username": "mallory", "share": "100"}
    told = client.post(f"/datasets/{dataset.pk}/gates/reviewers", given, follow=True)
    assert "mallory reviews 100 %" in text(told)
    client.force_login(stranger)
    assert dataset.name in text(client.get("/reviews"))
    shown = text(client.get(review))
    first, second = dataset.items.order_by("id")
    assert f'data-item="{first.pk}"' in shown and "first text" in shown and "<b>2</b> wait for you" in shown
    assert f"/datasets/{dataset.pk}/gates" not in shown, "they see nothing else of it"
    refused = client.post(f"{review}/vote", {"item": first.pk, "verdict": "rejected"}, headers=HTMX)
    assert refused.status_code == 400 and "A reason is missing" in text(refused)
    vote = {"item": first.pk, "round": first.review_round, "verdict": "approved"}
    after = text(client.post(f"{review}/vote", vote, headers=HTMX))
    assert f'data-item="{second.pk}"' in after and "<!doctype" not in after, "the answer is the next one"
    assert "1 approved" in after
    back = text(client.post(f"{review}/undo", headers=HTMX))
    assert f'data-item="{first.pk}"' in back and "is taken back" in back
    plain = client.post(f"{review}/vote", vote | {"verdict": "change", "reason": "A typo."}, follow=True)
    assert f'data-item="{second.pk}"' in text(plain), "without JavaScript, too"
    first.refresh_from_db()
    assert first.review == "change"
    reviews.vote(second, stranger, "approved")
    assert "Nothing waits for you here" in text(client.get(review))
    content = client.get(f"/api/v1/datasets/{dataset.pk}/review/{first.pk}/content")
    assert b"first text" in b"".join(content.streaming_content)


def test_a_long_text_is_read_to_its_end(page, client, dataset, owner, stranger, monkeypatch):
    monkeypatch.setattr(review_views, "OPENING", 1000)
    monkeypatch.setattr(review_views, "FURTHER", 1500)
    words = "".join(f"{n} <b>é</b>€𝄞\n" for n in range(300))
    assert len(words.encode()) > 4000
    item = dataset.items.order_by("id").first()
    address = store().add(words.encode()).sha256
    Item.objects.filter(pk=item.pk).update(sha256=address, bytes=len(words.encode()))
    part = re.compile(r"<span[^>]*>([^<]*)</span>(?=<a class=\"[^\"]*review-further|</pre>|$)")
    shown = page.get(f"/datasets/{dataset.pk}/review").content.decode()
    assert 'data-key="m"' in shown and "KiB more" in shown
    read = ""
    for _ in range(10):
        read += html.unescape(part.search(shown)[1])
        further = re.search(r'href="(/datasets/\d+/review/\d+/text\?from=\d+)"', shown)
        if further is None:
            break
        assert "<title>" in page.get(further[1]).content.decode(), "a page without JavaScript"
        shown = page.get(further[1], headers=HTMX).content.decode()
        assert "<title>" not in shown
    assert read == words, "nothing is lost, doubled or cut in two where one part ends and the next begins"
    start = f"/datasets/{dataset.pk}/review/{item.pk}/text"
    assert "That was the end." in page.get(f"{start}?from={10**15}").content.decode()
    client.force_login(stranger)
    assert client.get(start).status_code == 404
    reviews.assign(dataset, owner, stranger)
    assert client.get(start).status_code == 200
    Item.objects.filter(pk=item.pk).update(content={"text": "A row."})
    assert client.get(start).status_code == 404, "rows are shown as a whole"


def test_the_gates_page_shows_agreement_and_lets_reviewers_go(page, dataset, owner, stranger):
    reviews.assign(dataset, owner, stranger)
    for item in dataset.items.all():
        reviews.vote(item, owner, "approved")
        reviews.vote(item, stranger, "rejected", "No.")
    shown = text(page.get(f"/datasets/{dataset.pk}/gates"))
    assert "2 that two or more looked at" in shown and "0 %" in shown and "0.00 (Cohen)" in shown
    told = page.post(f"/datasets/{dataset.pk}/gates/reviewers/dismiss", {"user": stranger.pk}, follow=True)
    assert "reviews it no longer" in text(told) and not dataset.reviewers.exists()


def test_a_large_dataset_is_counted_after_the_page(page, dataset, monkeypatch):
    monkeypatch.setattr(overview, "SPLIT_AT_ONCE", 1)
    shown = text(page.get(f"/jobs/new?dataset={dataset.pk}"))
    assert (
        "Count what each set would get" in shown
        and 'hx-trigger="load, click"' in shown
        and 'data-testid="split"' not in shown
    )
    assert 'data-testid="split"' in text(page.get(f"/jobs/new/split?dataset={dataset.pk}"))
