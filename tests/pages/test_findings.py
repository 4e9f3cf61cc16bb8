"""Findings lead to their items, and a suggested class is taken with one click that can be undone."""

import pytest

from datasets.models import Edit, Finding
from tests.pages.conftest import HTMX
from tests.world import make_dataset


@pytest.fixture
def dataset(owner):
    files = {f"{kind}/{n}.txt": f"{kind} {n} ".encode() * 9 for kind in "ab" for n in "12"}
    return make_dataset(owner, "Letters", files)


def found(item, code, **more):
    return Finding.objects.create(dataset=item.dataset, item=item, code=code, points=30, **more)


def test_a_suggested_class_is_accepted_and_can_be_undone(page, owner, dataset):
    item = dataset.items.filter(label="a").first()
    finding = found(item, "mislabelled", reason="It looks like 'b' (90%).", details={"label": "b"})
    address = f"/datasets/{dataset.pk}/quality"
    for shown in (address, f"/datasets/{dataset.pk}/items/{item.pk}"):
        assert "Set class ‘b’" in page.get(shown).content.decode()
    answer = page.post(f"{address}/accept", {"finding": finding.pk}, headers=HTMX).content.decode()
    item.refresh_from_db()
    edit = Edit.objects.get()
    assert item.label == "b" and "1 item: class is now &#x27;b&#x27;" in answer
    assert f'action="/datasets/{dataset.pk}/edits/{edit.pk}/undo"' in answer
    assert "Set class" not in page.get(f"{address}?code=mislabelled", headers=HTMX).content.decode()
    assert dataset.quality_runs.filter(status="queued").exists(), "it is checked again"
    page.post(f"/datasets/{dataset.pk}/edits/{edit.pk}/undo")
    item.refresh_from_db()
    assert item.label == "a"


def test_what_is_no_suggestion_of_this_dataset_is_not_accepted(page, client, stranger, dataset):
    item = dataset.items.filter(label="a").first()
    other = found(item, "unusual_length", reason="Long.")
    for number in (other.pk, 999_999, "x", ""):
        assert page.post(f"/datasets/{dataset.pk}/quality/accept", {"finding": number}, headers=HTMX).status_code == 400
    suggested = found(item, "mislabelled", reason="It looks like 'b'.", details={"label": "b"})
    client.force_login(stranger)
    assert client.post(f"/datasets/{dataset.pk}/quality/accept", {"finding": suggested.pk}).status_code == 404
    assert not Edit.objects.exists()


def test_a_finding_links_its_item_and_names_the_other_one(page, dataset):
    first, second = dataset.items.filter(label="a")
    found(second, "duplicate", reason=f"The same as item {first.pk}.", cluster=first.pk)
    found(first, "leak", reason="For train; item 987654, which is <b>alike</b>, is for test.")
    html = page.get(f"/datasets/{dataset.pk}/quality", headers=HTMX).content.decode()
    assert f'href="/datasets/{dataset.pk}/items/{first.pk}">1.txt</a>.' in html and f"as item {first.pk}" not in html
    assert f'href="/datasets/{dataset.pk}/items/{second.pk}"' in html
    assert "item 987654, which is &lt;b&gt;alike" in html, "what is gone has no name"


def test_freezing_again_says_that_nothing_changed(page, dataset):
    address = f"/datasets/{dataset.pk}/freeze"
    assert "is frozen" in page.post(address, headers=HTMX).content.decode()
    assert "Nothing changed: it is" in page.post(address, headers=HTMX).content.decode()
    assert dataset.versions.count() == 1


def test_a_split_by_group_without_groups_says_so(page, dataset):
    address = f"/datasets/{dataset.pk}/split?split_by=group"
    assert "No item has a group" in page.get(address).content.decode()
    dataset.items.update(group="g")
    assert "No item has a group" not in page.get(address).content.decode()
