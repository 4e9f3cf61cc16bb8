"""The pages of one dataset: the same head on each, and lines that lead to what they count."""

import pytest

from datasets.items.edits import edit_items
from datasets.models import Dataset
from tests.world import make_dataset, make_rendering, make_table

TABS = ["", "/quality", "/gates", "/review", "/versions", "/subjects"]


@pytest.fixture
def dataset(owner):
    made = make_dataset(
        owner, "Fables", {f"{kind}/{n}.txt": f"{kind} {n} ".encode() * 9 for kind in "ab" for n in "12"}
    )
    Dataset.objects.filter(pk=made.pk).update(approvals=1)
    return made


def test_every_tab_has_the_same_head_and_its_name_in_the_breadcrumbs(page, owner, dataset):
    sheet = make_table(owner, "Sheet")
    pairs = make_rendering(sheet).target
    addresses = [f"/datasets/{dataset.pk}{tab}" for tab in TABS]
    addresses += [f"/datasets/{sheet.pk}/sheet", f"/datasets/{pairs.pk}/pairs"]
    for address in addresses:
        html = page.get(address).content.decode()
        crumbs = html[html.index('class="crumbs"') :].partition("</nav>")[0]
        assert f">{address.split('/')[2]}<" not in crumbs, "an id is no name"
        head = html[html.index('id="dataset-header"') :].partition('class="tabs"')[0]
        assert html.count("<h1") == 1 and "<h1" in head, address
        assert 'data-testid="dataset-status"' in head and "Delete" in head, address


def test_a_reviewer_who_does_not_own_it_sees_no_button_that_is_not_theirs(client, stranger, dataset):
    dataset.reviewers.create(user=stranger, share=100)
    client.force_login(stranger)
    html = client.get(f"/datasets/{dataset.pk}/review").content.decode()
    assert "Delete" not in html and 'id="dataset-header"' not in html
    assert 'href="/reviews" aria-current="page"' in html and 'href="/datasets" aria-current' not in html


def test_a_change_of_one_item_names_it_and_leads_to_it(page, owner, dataset):
    item = dataset.items.first()
    edit_items(dataset, owner, [item.pk], field="caption", value="a fox")
    edit_items(dataset, owner, dataset.items.all(), field="group", value="g")
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    changes = html[html.index('id="dataset-edits"') :].partition("</ul>")[0]
    assert (
        f'<a class="inline-link" href="/datasets/{dataset.pk}/items/{item.pk}">1.txt</a>: caption &#x27;a fox&#x27;'
        in changes
    )
    assert "4 items: group &#x27;g&#x27;" in changes
    item.delete()
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert "1 item: caption &#x27;a fox&#x27;" in html


def test_bars_lead_to_what_they_count(page, dataset):
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert f'href="/datasets/{dataset.pk}?label=a#items-title"' in html
    dataset.items.filter(label="a").update(quality=100)
    dataset.items.filter(label="b").update(quality=35)
    Dataset.objects.filter(pk=dataset.pk).update(quality=67)
    html = page.get(f"/datasets/{dataset.pk}/quality").content.decode()
    for low, high, label in ((90, 100, "a"), (30, 39, "b")):
        address = f"/datasets/{dataset.pk}?quality_from={low}&amp;quality_to={high}&amp;aside=no#items-title"
        assert f'href="{address}"' in html
        listed = page.get(address.replace("&amp;", "&")).content.decode()
        assert listed.count('<li id="item-') == 2 and f'<span class="tag">{label}</span>' in listed
    assert "quality_from=40" not in html, "an empty range leads nowhere"
