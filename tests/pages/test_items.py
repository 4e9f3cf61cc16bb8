"""Items on the page: filtered, chosen, changed, undone; one item large, of every kind."""

import re

import pytest

from datasets.creation import create_dataset
from datasets.freezing.versions import freeze
from datasets.items import rows
from datasets.items.edits import edit_items
from datasets.models import Dataset, Edit, Finding, Item, LabelCount
from tests.pages.conftest import HTMX


@pytest.fixture
def pictures(owner):
    dataset, _ = create_dataset(owner, name="Pets", modality="image")
    Item.objects.bulk_create(
        Item(dataset=dataset, sha256=f"{n:064}", name=f"pets/{n}.png", label="cats" if n % 2 else "dogs",
             media_type="image/png", bytes=10, width=8, height=8, quality=n) for n in range(60)
    )  # fmt: skip
    Dataset.objects.filter(pk=dataset.pk).update(item_count=60, status="active")
    dataset.refresh_from_db()
    return dataset


@pytest.fixture
def rows_of_text(owner):
    dataset, _ = create_dataset(owner, name="Pairs", modality="text")
    contents = [
        {"prompt": "What is <b>red</b>?", "completion": "A colour."},
        {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good morning"}]},
        {"text": "Once upon a time"},
    ]
    for number, content in enumerate(contents):
        Item.objects.create(
            dataset=dataset,
            sha256=rows.address(content),
            content=content,
            name=f"row {number}",
            bytes=len(rows.canonical(content)),
            characters=9,
            media_type="application/vnd.trainhub.row+json",
        )
    Dataset.objects.filter(pk=dataset.pk).update(item_count=3, status="active")
    dataset.refresh_from_db()
    return dataset


def html(answer):
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def confirmation(asked):
    """What the form of a question sends when it is confirmed."""
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', asked))


def test_pages_are_walked_forward_and_back(page, pictures):
    address = f"/datasets/{pictures.pk}"
    first = html(page.get(address, headers=HTMX))
    assert "48 shown of 60" in first and 'rel="next"' in first and 'rel="prev"' not in first
    after = first.split('data-testid="next-items"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = html(page.get(address + after.replace("&amp;", "&"), headers=HTMX))
    assert "12 shown of 60" in second and "59.png" in second and 'rel="prev"' in second


def test_filters_are_in_the_address(page, pictures):
    address = f"/datasets/{pictures.pk}"
    found = html(page.get(f"{address}?label=cats&quality_from=50&sort=-quality", headers=HTMX))
    assert "5 shown of 5" in found and found.index("59.png") < found.index("57.png")
    whole = html(page.get(f"{address}?label=cats&aside=no"))
    assert (
        '<option id="class-cats" value="cats" selected>' in whole
        and '<details class="w-100" id="more-filters" open>' in whole
    )
    table = b"".join(page.get(f"{address}?label=cats&quality_from=50&export=csv")).decode().splitlines()
    assert table[0].startswith("id,name,label") and len(table) == 6
    assert "No item fits" in html(page.get(f"{address}?search=lions", headers=HTMX))


def test_chosen_items_are_changed_and_the_toast_offers_to_undo(page, pictures):
    ids = [str(pk) for pk in pictures.items.values_list("pk", flat=True)[:3]]
    address = f"/datasets/{pictures.pk}/items/edit"
    said = html(page.post(address, {"item": ids, "action": "aside"}, headers=HTMX))
    edit = Edit.objects.get()
    assert "3 items set aside" in said and f"/edits/{edit.pk}/undo" in said and "#toasts" in said
    listed = html(page.get(f"/datasets/{pictures.pk}"))
    assert "3 items set aside" in listed and "By hand" in listed
    assert "3 items are as before" in html(page.post(f"/datasets/{pictures.pk}/edits/{edit.pk}/undo", headers=HTMX))
    assert not pictures.items.exclude(aside="").exists()
    assert page.post(address, {"action": "aside"}, headers=HTMX).status_code == 400
    assert page.post(address, {"item": ids, "action": "eat"}, headers=HTMX).status_code == 400
    whole = page.post(address, {"item": ids[:1], "action": "label", "to_label": "wolves"}, follow=True)
    assert "1 item: class is now" in html(whole)


def test_all_that_fit_are_changed_after_a_question_that_says_how_many(page, pictures):
    address = f"/datasets/{pictures.pk}/items/edit"
    wish = {"all": "1", "label": "cats", "action": "aside"}
    asked = html(page.post(address, wish, headers=HTMX))
    assert "30 items fit" in asked and "#dialog" in asked and 'name="sure" value="1"' in asked
    assert not Edit.objects.exists()
    assert "30 items set aside" in html(page.post(address, confirmation(asked), headers=HTMX))
    assert pictures.items.filter(aside="by_hand", label="cats").count() == 30
    rename = {"all": "1", "label": "dogs", "action": "label", "to_label": "wolves"}
    asked = html(page.post(address, rename, headers=HTMX))
    assert "30 items: class is now" in html(page.post(address, confirmation(asked), headers=HTMX))
    assert pictures.items.filter(label="wolves").count() == 30


@pytest.mark.parametrize("action", ["aside", "remove"])
def test_what_was_confirmed_of_a_class_never_falls_on_others_when_the_class_is_gone(page, pictures, owner, action):
    address = f"/datasets/{pictures.pk}/items/edit"
    sure = confirmation(html(page.post(address, {"all": "1", "label": "cats", "action": action}, headers=HTMX)))
    cats = list(pictures.items.filter(label="cats").values_list("pk", flat=True))
    edit_items(pictures, owner, cats, field="label", value="lions")
    refusal = page.post(address, sure, headers=HTMX)
    assert refusal.status_code == 409 and "No item fits these filters any more" in refusal.content.decode()
    assert pictures.items.filter(aside="").count() == 60


@pytest.mark.parametrize("action", ["aside", "remove"])
def test_no_more_items_are_changed_than_were_confirmed(page, pictures, owner, action):
    address = f"/datasets/{pictures.pk}/items/edit"
    sure = confirmation(html(page.post(address, {"all": "1", "label": "cats", "action": action}, headers=HTMX)))
    assert sure["counted"] == "30"
    dogs = list(pictures.items.filter(label="dogs").values_list("pk", flat=True)[:1])
    edit_items(pictures, owner, dogs, field="label", value="cats")
    refusal = page.post(address, sure, headers=HTMX)
    assert refusal.status_code == 409 and "More than the 30 items that you confirmed" in refusal.content.decode()
    assert pictures.items.filter(aside="").count() == 60
    assert page.post(address, {"all": "1", "action": action, "sure": "1"}, headers=HTMX).status_code == 409
    assert pictures.items.filter(aside="").count() == 60, "what nobody counted is not confirmed"


def test_what_came_after_the_question_is_not_changed(page, pictures):
    address = f"/datasets/{pictures.pk}/items/edit"
    sure = confirmation(html(page.post(address, {"all": "1", "label": "cats", "action": "aside"}, headers=HTMX)))
    late = Item.objects.create(dataset=pictures, sha256="9" * 64, name="late.png", label="cats", bytes=1)
    assert "30 items set aside" in html(page.post(address, sure, headers=HTMX))
    late.refresh_from_db()
    assert late.aside == ""


@pytest.mark.parametrize("action", ["aside", "remove"])
def test_an_edit_of_all_that_fit_passes_no_condition_over(page, pictures, owner, action):
    address = f"/datasets/{pictures.pk}/items/edit"
    version = freeze(pictures, owner)
    wish = {"all": "1", "version": "1", "split": "train", "action": action}
    sure = confirmation(html(page.post(address, wish, headers=HTMX)))
    version.delete()
    for bad in (sure, {**wish, "sure": "1"}, {**wish, "version": "", "split": "", "quality_to": "low"}):
        assert page.post(address, bad, headers=HTMX).status_code == 400
    assert pictures.items.filter(aside="").count() == 60


def test_the_list_sends_the_conditions_that_it_shows(page, pictures):
    """Items without a class are a condition, too; one that the list passed over is none."""
    pictures.items.filter(label="dogs").update(label="")
    LabelCount.objects.filter(dataset=pictures, label="dogs").update(label="")
    shown = html(page.get(f"/datasets/{pictures.pk}?label=&version=9&quality_from=20", headers=HTMX))
    form = shown.split('id="choose"')[1]
    assert '<input type="hidden" name="label" value="">' in form and 'name="quality_from" value="20"' in form
    assert 'name="version"' not in form
    asked = html(page.post(f"/datasets/{pictures.pk}/items/edit", {"all": "1", "label": "", "action": "aside"}))
    assert "30 items fit your filters" in asked


def test_chosen_items_are_removed_for_good_after_a_question(page, pictures):
    ids = list(pictures.items.order_by("pk").values_list("pk", flat=True)[:3])
    address, wish = f"/datasets/{pictures.pk}/items/edit", {"item": ids, "action": "remove"}
    for headers in ({}, HTMX):
        asked = html(page.post(address, wish, headers=headers))
        assert "Remove 3 items for good?" in asked and "can&#x27;t be undone" in asked and "frozen version" in asked
        assert all(f'name="item" value="{pk}"' in asked for pk in ids) and 'name="sure" value="1"' in asked
    assert pictures.items.count() == 60, "asking removes nothing"
    sure = {**wish, "sure": "1", "upto": str(ids[1])}
    said = html(page.post(address, sure, headers=HTMX))
    assert "2 items are removed for good; 0 B are free again." in said and "#toasts" in said
    assert pictures.items.filter(pk__in=ids).get().pk == ids[2], "what came after the question stays"
    assert "the items are gone already" in html(page.post(address, sure, follow=True))
    assert page.post(address, {"action": "remove"}, headers=HTMX).status_code == 400
    Dataset.objects.filter(pk=pictures.pk).update(status="processing")
    asked = html(page.post(address, wish, headers=HTMX))
    assert "is importing" in asked and "sure" not in asked
    assert page.post(address, {**sure, "upto": ids[2]}, headers=HTMX).status_code == 409
    assert pictures.items.count() == 58


def test_all_that_fit_are_removed_but_what_a_frozen_version_holds(page, pictures, owner, stranger):
    first = freeze(pictures, owner)
    more = [
        Item.objects.create(dataset=pictures, sha256=f"{n:064}", name=f"{n}.png", label="cats", bytes=10)
        for n in (90, 91)
    ]
    address, wish = f"/datasets/{pictures.pk}/items/edit", {"all": "1", "label": "cats", "action": "remove"}
    asked = html(page.post(address, {**wish, "item": more[0].pk}, headers=HTMX))
    assert "32 items fit your filters" in asked and 'name="label" value="cats"' in asked
    assert f'name="upto" value="{more[1].pk}"' in asked and 'name="item"' not in asked
    sure = confirmation(asked)
    page.force_login(stranger)
    assert page.post(address, sure, headers=HTMX).status_code == 404
    page.force_login(owner)
    said = html(page.post(address, sure, headers=HTMX))
    assert "2 items are removed for good" in said and "30 items stay, since a frozen version holds them." in said
    refusal = page.post(address, sure, headers=HTMX)
    assert refusal.status_code == 409 and "Nothing was removed: 30 items stay" in refusal.content.decode()
    assert "Nothing was removed: 30 items stay" in html(page.post(address, sure, follow=True))
    assert pictures.items.count() == 60 == sum(first.counts.values())


def test_one_item_is_removed_on_its_page(page, pictures):
    one = pictures.items.all()[5]
    shown = html(page.get(f"/datasets/{pictures.pk}/items/{one.pk}"))
    assert 'data-testid="remove-item"' in shown and 'name="leave" value="1"' in shown
    wish = {"item": one.pk, "leave": "1", "action": "remove", "sure": "1", "upto": one.pk}
    answer = page.post(f"/datasets/{pictures.pk}/items/edit", wish, headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/datasets/{pictures.pk}"
    assert "1 item is removed for good" in html(page.get(f"/datasets/{pictures.pk}"))
    assert page.get(f"/datasets/{pictures.pk}/items/{one.pk}").status_code == 404


def test_one_item_is_shown_changed_and_has_neighbours(page, pictures, owner):
    one = pictures.items.all()[5]
    Finding.objects.create(dataset=pictures, item=one, code="blurred", points=30, reason="It has no sharp edge.")
    address = f"/datasets/{pictures.pk}/items/{one.pk}"
    shown = html(page.get(address))
    assert f"/items/{one.pk - 1}" in shown and f"/items/{one.pk + 1}" in shown
    assert "Blurred" in shown and "It has no sharp edge." in shown and f"/items/{one.pk}/content" in shown
    said = html(page.post(f"{address}/change", {"label": "birds", "caption": "A robin"}, headers=HTMX))
    assert "Class, Caption changed." in said
    one.refresh_from_db()
    assert (one.label, one.caption) == ("birds", "A robin")
    assert "Nothing had to be changed" in html(page.post(f"{address}/change", {"label": "birds"}, headers=HTMX))


def test_rows_are_shown_searched_and_rewritten(page, rows_of_text):
    listed = html(page.get(f"/datasets/{rows_of_text.pk}"))
    assert "What is &lt;b&gt;red&lt;/b&gt;?" in listed and "Good morning" in listed and "Once upon" in listed
    found = html(page.get(f"/datasets/{rows_of_text.pk}?search=morning", headers=HTMX))
    assert "1 shown of 1" in found and "Once upon" not in found
    pair, chat, text = rows_of_text.items.order_by("pk")
    for item, form in (
        (pair, {"prompt": "Why?", "completion": "So."}),
        (chat, {"role": ["user", "assistant"], "said": ["Hi", "Good night"]}),
        (text, {"text": "The end\r\nof it"}),
    ):
        address = f"/datasets/{rows_of_text.pk}/items/{item.pk}"
        html(page.get(address))
        assert "Content changed" in html(page.post(f"{address}/change", form, headers=HTMX))
    assert [row["content"] for row in rows_of_text.items.order_by("pk").values("content")] == [
        {"prompt": "Why?", "completion": "So."},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Good night"}]},
        {"text": "The end\nof it"},
    ]
    assert page.post(f"{address}/change", {"text": " "}, headers=HTMX).status_code == 400


def test_a_table_shows_rows_by_page_and_plots_a_column_over_time(page, owner):
    import io
    from datetime import datetime, timedelta

    import pyarrow as pa
    import pyarrow.parquet as pq

    from common.files import store

    count = 5000
    table = pa.table({
        "at": [datetime(2024, 1, 1) + timedelta(minutes=n) for n in range(count)],
        "load": [float(n) if n != 777 else 99999.0 for n in range(count)], "who": ["ann"] * count,
    })  # fmt: skip
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=1000)
    dataset, _ = create_dataset(owner, name="Loads", modality="table")
    columns = [{"name": "at", "type": "date"}, {"name": "load", "type": "number"}, {"name": "who", "type": "category"}]
    profile = {
        "columns": [{**one, "missing": 0, "distinct": 5, "distinct_is_least": False} for one in columns],
        "series": {"time": "at", "from": "2024-01-01", "to": "2024-01-04", "gaps": 0, "missing_rows": 0},
    }
    profile["columns"][1] |= {"histogram": {"counts": [1, 2, 3], "edges": [0, 1, 2, 3]}, "quantiles": {"0.5": 7},
                              "min": 0.0, "max": 99999.0}  # fmt: skip
    facts = {"rows": count, "columns": columns, "profile": profile, "parquet": store().add(out.getvalue()).sha256}
    item = Item.objects.create(dataset=dataset, sha256=store().add(b"at,load").sha256, bytes=7, name="loads.csv",
                               media_type="text/csv", facts=facts)  # fmt: skip
    address = f"/datasets/{dataset.pk}/items/{item.pk}"
    shown = html(page.get(address))
    assert "1–25 of 5,000 rows" in shown and "Histogram of load" in shown and "data-plot=" in shown
    across = html(page.get(f"{address}?rows=980", headers=HTMX))
    assert "976–1,000 of 5,000 rows" in across and "<html" not in across
    assert "4,976–5,000 of" in html(page.get(f"{address}?rows=99999999", headers=HTMX))
    assert html(page.get(f"/datasets/{dataset.pk}")).count("loads.csv")
    found = page.get(f"/api/v1/datasets/{dataset.pk}/items/{item.pk}/series?column=load").json()
    assert len(found["x"]) == len(found["y"]) <= 1500 and 99999.0 in found["y"]
    assert page.get(f"/api/v1/datasets/{dataset.pk}/items/{item.pk}/series?column=who").status_code == 404
    del item.facts["parquet"]
    item.save()
    assert "columnar copy is missing" in html(page.get(address))


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_players_and_waiting_previews(page, owner, modality, monkeypatch):
    from datasets.items import previews

    monkeypatch.setattr(previews, "enqueue", lambda *_: None)
    dataset, _ = create_dataset(owner, name="Media", modality=modality)
    kind = {"audio": "audio/wav", "video": "video/mp4"}[modality]
    item = Item.objects.create(
        dataset=dataset, sha256="a" * 64, bytes=7, name="x", media_type=kind, facts={"seconds": 2.5}
    )
    listed = html(page.get(f"/datasets/{dataset.pk}"))
    assert f"/items/{item.pk}/preview?waits=" in listed and "2.5 s" in listed
    assert f"<{modality}" in html(page.get(f"/datasets/{dataset.pk}/items/{item.pk}"))
