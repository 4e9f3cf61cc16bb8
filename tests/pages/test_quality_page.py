"""The page of a dataset's quality: run it, read why, act, take back; and what an open page is told."""

import pytest

from datasets.models import Dataset, Finding
from datasets.quality import acts, runs
from datasets.quality.live import QualitySource
from tests.datasets.planted import rows
from tests.datasets.test_quality_runs import CROW, STORY
from tests.pages.conftest import HTMX
from tests.pages.test_live import targets
from tests.world import make_dataset


@pytest.fixture
def fables(owner):
    dataset = Dataset.objects.create(owner=owner, name="Fables", modality="text")
    rows(dataset, [{"text": text} for text in (STORY, STORY.upper(), CROW + "Write to crow@example.org.")])
    return dataset


@pytest.fixture
def address(fables):
    return f"/datasets/{fables.pk}/quality"


def check(fables, owner):
    runs.run_quality(runs.start_run(fables, owner).pk)
    fables.refresh_from_db()


def test_a_check_is_asked_for_watched_and_read(page, fables, address):
    assert "Not checked yet" in page.get(address).content.decode()
    answer = page.post(f"{address}/check", headers=HTMX)
    assert "goes on in the background" in answer.content.decode()
    html = page.get(address).content.decode()
    assert 'data-testid="quality-running"' in html and "Waiting for a worker" in html
    assert "already" in page.post(f"{address}/check", headers=HTMX).content.decode()
    runs.run_quality(fables.quality_runs.get().pk)
    html = page.get(address).content.decode()
    assert "Duplicate" in html and "an e-mail address" in html and "Check again" in html
    assert html.count('data-testid="reason"') == 2
    for path in ("/datasets", f"/datasets/{fables.pk}"):
        assert 'data-testid="quality-badge"' in page.get(path).content.decode()


def test_findings_are_shown_by_kind_with_their_group(page, fables, owner, address):
    check(fables, owner)
    html = page.get(f"{address}?code=duplicate", headers=HTMX).content.decode()
    assert "<html" not in html
    assert html.count('data-testid="finding"') == 2 and "The first of them" in html and "2 that belong" in html
    assert "e-mail" not in html
    assert "Nothing was dismissed" in page.get(f"{address}?state=dismissed", headers=HTMX).content.decode()


def test_an_item_has_one_card_with_all_that_was_found_of_it(page, fables, owner, address):
    first, second, third = fables.items.order_by("pk")
    for item, code in ((second, "near_duplicate"), (second, "leak"), (third, "near_duplicate"), (third, "blank")):
        cluster = None if code == "blank" else first.pk
        Finding.objects.create(dataset=fables, item=item, code=code, points=10, reason="Alike.", cluster=cluster)
    html = page.get(address, headers=HTMX).content.decode()
    assert "3 that belong together" in html and html.count("that belong together") == 1
    assert html.count('data-testid="finding"') == 4, "the three of the group, and what is no matter of the group"
    assert html.count("It is no fault") == 4 and html.count("The first of them") == 1


def test_acting_asks_first_and_says_how_many(page, fables, owner, address):
    check(fables, owner)
    asked = page.get(f"{address}/duplicate/set_aside?keep=first", headers=HTMX).content.decode()
    assert "Set 1 item aside?" in asked and 'value="first"' in asked
    assert fables.items.exclude(aside="").count() == 0
    told = page.post(f"{address}/duplicate/set_aside", {"keep": "first"}, headers=HTMX).content.decode()
    assert "1 item set aside." in told
    assert list(fables.items.exclude(aside="").values_list("name", "aside")) == [("row-1", "duplicate")]
    html = page.get(address).content.decode()
    assert 'data-testid="lately"' in html
    edit = fables.edits.get()
    assert "1 item taken back." in page.post(f"{address}/edits/{edit.pk}/undo", headers=HTMX).content.decode()
    assert fables.items.exclude(aside="").count() == 0
    assert "There is nothing" in page.get(f"{address}/silent/set_aside", headers=HTMX).content.decode()
    assert page.get(f"{address}/duplicate/burn").status_code == 404
    assert page.get(f"{address}/nonsense/set_aside").status_code == 400


def test_a_finding_is_dismissed_and_restored(page, fables, owner, address):
    check(fables, owner)
    one = fables.findings.get(code="personal_data")
    page.post(f"{address}/finding", {"finding": one.pk, "action": "dismiss"})
    assert fables.findings.get(pk=one.pk).dismissed_by == owner
    html = page.get(f"{address}?state=dismissed", headers=HTMX).content.decode()
    assert html.count('data-testid="finding"') == 1 and "Restore" in html
    page.post(f"{address}/finding", {"finding": one.pk, "action": "restore"})
    assert fables.findings.get(pk=one.pk).dismissed_at is None
    assert page.post(f"{address}/finding", {"finding": "9" * 30}).status_code == 400
    assert "Dismiss 1 finding?" in page.get(f"{address}/personal_data/dismiss", headers=HTMX).content.decode()
    page.post(f"{address}/personal_data/dismiss", headers=HTMX)
    assert acts.open_findings(fables, "personal_data").count() == 0


def test_it_can_be_checked_only_when_asked(page, fables, address):
    page.post(f"{address}/settings", {})
    fables.refresh_from_db()
    assert fables.quality_by_itself is False
    assert "checked" not in page.get(address).content.decode().split('name="by_itself"')[1].split(">")[0]


def test_an_open_page_is_told_of_the_run_and_then_of_the_report(page, owner, fables, address):
    source = QualitySource(fables)
    html = page.get(address).content.decode()
    for target in targets(source.snapshot()):
        assert f'id="{target}"' in html, target
    assert source.update() == []
    run = runs.start_run(fables, owner)
    assert targets(source.update()) == {"quality-run"}
    runs.run_quality(run.pk)
    messages = source.update()
    assert {"quality-run", "quality-score", "quality-reasons", "dataset-header"} <= targets(messages)
    assert messages[-1].event == "findings"


def test_strangers_find_nothing(client, stranger, fables, owner, address):
    check(fables, owner)
    client.force_login(stranger)
    for path in ("", "/duplicate/set_aside"):
        assert client.get(address + path).status_code == 404
    for path in ("/check", "/settings", "/finding", "/duplicate/set_aside"):
        assert client.post(address + path).status_code == 404
    assert fables.quality_runs.count() == 1


def test_a_dataset_without_items_says_so(page, owner):
    dataset = make_dataset(owner, "Empty", {"empty.txt": b""})
    assert "It has no items to check." in page.get(f"/datasets/{dataset.pk}/quality").content.decode()
