"""Pages of a sheet: templates with a preview, renderings, rows, and the way back from a pair."""

from __future__ import annotations

from django.urls import reverse

from datasets.models import Rendering, Template
from datasets.rendering import live as sheet_live
from datasets.rendering import renderings
from tests.pages.conftest import HTMX
from tests.world import make_job

TYPED = {"name": "Ask", "prompt": "Type {{ Type }}?", "completion": "{{ note }}", "system": "", "sample": "first"}


def test_a_template_is_written_tried_saved_and_rendered(page, world):
    sheet = f"/datasets/{world.sheet.pk}/sheet"
    tried = page.post(f"{sheet}/preview", TYPED, headers=HTMX).content.decode()
    assert "Type L?" in tried
    assert "note 0" in tried
    by_number = page.post(
        f"{sheet}/preview", TYPED | {"sample": "rows", "rows": "10, 2"}, headers=HTMX
    ).content.decode()
    assert "Makes no pair" in by_number
    assert "&#x27;note&#x27; is empty" in by_number
    assert by_number.index("Row 10") < by_number.index("Row 2")
    wrong = page.post(f"{sheet}/preview", TYPED | {"prompt": "{{ Typ }}"}, headers=HTMX).content.decode()
    assert "there is no column &#x27;Typ&#x27;" in wrong
    assert "Did you mean {{ Type }}?" in wrong
    refused = page.post(f"{sheet}/templates/new", TYPED | {"prompt": "{{ Typ }}"})
    assert refused.status_code == 400
    assert 'aria-describedby="prompt-error"' in refused.content.decode()
    assert page.post(f"{sheet}/templates/new", TYPED).url == sheet
    template = Template.objects.get(name="Ask")
    shown = page.get(sheet).content.decode()
    assert "Ask" in shown
    assert "uses Type, note" in shown
    begun = page.post(f"{sheet}/templates/{template.pk}/render", {"name": "Asked", "label_column": "Type"})
    made = Rendering.objects.get(template=template)
    assert begun.url == reverse("rendering", args=[world.sheet.pk, made.pk])
    assert "0 of 20 rows" in page.get(begun.url).content.decode()
    renderings.run_rendering(made.pk)
    ended = page.get(begun.url).content.decode()
    assert "18 pairs made" in ended
    assert f"/datasets/{made.target_id}" in ended
    assert page.post(f"{sheet}/templates/{template.pk}/delete").status_code == 409


def test_a_template_of_other_columns_says_why_it_does_not_fit(page, world, owner):
    Template.objects.create(owner=owner, name="Other", prompt="{{ Colour }}", completion="x")
    shown = page.get(f"/datasets/{world.sheet.pk}/sheet").content.decode()
    assert "Does not fit" in shown
    assert "there is no column &#x27;Colour&#x27;" in shown


def test_a_pair_leads_back_to_its_row_and_template(page, world):
    shown = page.get(f"/datasets/{world.rendering.target_id}/pairs").content.decode()
    row = reverse("sheet-row", args=[world.sheet.pk, 1])
    assert f'href="{row}"' in shown
    assert reverse("sheet-template", args=[world.sheet.pk, world.rendering.template_id]) in shown
    cells = page.get(row).content.decode()
    assert "Row 1 of 20" in cells
    assert "note 0" in cells
    assert page.get(reverse("sheet-row", args=[world.sheet.pk, 21])).status_code == 404
    assert (
        page.get(f"/datasets/{world.rendering.target_id}/pairs?search=note+17")
        .content.decode()
        .count('data-testid="pair"')
        == 1
    )


def test_rows_left_out_are_listed_and_exported(page, world):
    address = reverse("rendering", args=[world.sheet.pk, world.rendering.pk])
    shown = page.get(address).content.decode()
    assert shown.count("is empty") == 2
    exported = b"".join(page.get(f"{address}?export=csv").streaming_content).decode()
    assert exported.startswith("row,reason\n10,")


def test_the_tab_stands_on_tables_and_on_training_sheets_alone(page, world):
    assert f'href="/datasets/{world.sheet.pk}/sheet"' in page.get(f"/datasets/{world.sheet.pk}").content.decode()
    assert "/pairs" in page.get(f"/datasets/{world.rendering.target_id}").content.decode()
    texts = page.get(f"/datasets/{world.dataset.pk}").content.decode()
    assert "/pairs" not in texts
    assert "/sheet" not in texts
    assert page.get(f"/datasets/{world.dataset.pk}/sheet").status_code == 404


def test_open_pages_are_told_as_rows_are_rendered(world, owner):
    template = world.rendering.template
    made = renderings.start(world.sheet, owner, template, name="Live")
    page = sheet_live.RenderingSource.open(owner, str(made.pk), {})
    lists = sheet_live.SheetSource.open(owner, str(world.sheet.pk), {})
    assert "Waiting" in page.snapshot()[0].data
    lists.update()
    renderings.run_rendering(made.pk)
    told = page.update()
    assert "18" in told[0].data
    assert told[1].event == "items"
    assert "Completed" in lists.update()[0].data
    assert lists.update() == []


def test_the_lineage_of_a_job_goes_back_to_sheet_and_template(page, world, owner):
    job = make_job(owner, recipe="text-generation", dataset=world.rendering.target)
    shown = page.get(f"/jobs/{job.pk}").content.decode()
    assert reverse("dataset-sheet", args=[world.sheet.pk]) in shown
    assert reverse("sheet-template", args=[world.sheet.pk, world.rendering.template_id]) in shown
    version = page.get(f"/api/v1/training/jobs/{job.pk}/lineage").json()["comes_from"][0]
    sheet = version["comes_from"][0]["comes_from"][0]
    assert (sheet["kind"], sheet["id"], sheet["pairs"]) == ("sheet", world.sheet.pk, 18)
    assert sheet["comes_from"][0]["kind"] == "template"
