"""Datasets on the page: made, filled, looked at, frozen, deleted."""

from django.core.files.uploadedfile import SimpleUploadedFile

from datasets.freezing import versions
from datasets.intake.imports import receive, run_import
from datasets.items.edits import edit_items
from datasets.models import Dataset, Import
from jobs.creation import create_job
from tests.pages.conftest import HTMX
from tests.world import Upload, make_dataset


def test_a_dataset_is_made_and_the_next_step_is_its_files(page):
    answer = page.post("/datasets/new", {"name": "Fables", "modality": "text", "description": "Old ones"}, follow=True)
    html = answer.content.decode()
    assert 'data-testid="upload-input"' in html and 'data-testid="upload-folder-input"' in html
    assert "Now add files" in html and "Old ones" in html


def test_a_taken_name_is_explained_and_the_rest_is_kept(page, owner):
    make_dataset(owner, "Fables")
    answer = page.post("/datasets/new", {"name": "Fables", "modality": "text", "description": "kept text"})
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "already" in html and "kept text" in html and 'value="Fables"' in html


def test_files_are_taken_in_and_refusals_named(page, owner):
    page.post("/datasets/new", {"name": "Fables", "modality": "text"})
    dataset = Dataset.objects.get()
    files = [
        SimpleUploadedFile("good.txt", b"the fox and the grapes " * 5),
        SimpleUploadedFile("empty.txt", b""),
    ]
    answer = page.post(f"/datasets/{dataset.pk}/upload", {"files": files}, headers=HTMX)
    assert "2 files received" in answer.content.decode()
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert 'data-testid="import-progress"' in html and "Waiting" in html
    run_import(Import.objects.get().pk)
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert "Completed" in html and "empty.txt" in html and "the fox and the grapes" in html
    source = Import.objects.get()
    address = f"/datasets/{dataset.pk}/imports/{source.pk}/set-aside"
    assert "empty.txt" in page.get(address).content.decode()
    assert b"empty.txt" in b"".join(page.get(f"{address}?export=csv"))


def test_an_upload_of_nothing_is_explained(page, owner):
    dataset = make_dataset(owner)
    answer = page.post(f"/datasets/{dataset.pk}/upload", headers=HTMX)
    assert answer.status_code == 400 and "#toasts" in answer.content.decode()


def test_freezing_makes_a_version_and_says_so(page, owner):
    dataset = make_dataset(owner)
    given = {"validation_fraction": "0.5", "test_fraction": "0", "seed": "1"}
    answer = page.post(f"/datasets/{dataset.pk}/freeze", given, follow=True)
    assert "is frozen" in answer.content.decode()
    assert dataset.versions.get().validation_fraction == 0.5
    for wrong in ({"seed": "x"}, {"validation_fraction": "nan"}, {"validation_fraction": "1"}, {"seed": "9" * 40}):
        assert page.post(f"/datasets/{dataset.pk}/freeze", given | wrong).status_code == 400


def test_items_are_searched_and_filtered_by_class(page, world):
    address = f"/datasets/{world.dataset.pk}"
    html = page.get(f"{address}?search=b.txt", headers=HTMX).content.decode()
    assert "b.txt" in html and "a.txt" not in html
    assert "<html" not in html
    html = page.get(f"{address}?label={world.marker}", headers=HTMX).content.decode()
    assert "a.txt" in html and "b.txt" not in html


def test_deleting_asks_first_and_names_what_is_lost(page, owner):
    dataset = make_dataset(owner)
    assert "4 items" in page.get(f"/datasets/{dataset.pk}/delete", headers=HTMX).content.decode()
    assert Dataset.objects.count() == 1
    answer = page.post(f"/datasets/{dataset.pk}/delete", headers=HTMX)
    assert answer.headers["HX-Redirect"] == "/datasets"
    assert not Dataset.objects.exists()
    assert "is deleted" in page.get("/datasets").content.decode()


def test_names_of_files_are_shown_as_text(page, owner):
    name = '<img src=x onerror="alert(1)">.txt'
    dataset = make_dataset(owner, '"><script>alert(1)</script>', {name: b"some text " * 9})
    for address in (f"/datasets/{dataset.pk}", "/datasets", "/jobs/new"):
        html = page.get(address).content.decode()
        assert "<script>alert" not in html and "<img src=x" not in html


def test_every_import_that_set_files_aside_leads_to_their_list(page, owner):
    dataset = make_dataset(owner)
    for number in range(13):
        made = receive(dataset, owner, [Upload(f"empty-{number}.txt", b"")])
        run_import(made.pk)
    html = page.get(f"/datasets/{dataset.pk}").content.decode()
    for source in dataset.imports.filter(set_aside__gt=0):
        assert f'href="/datasets/{dataset.pk}/imports/{source.pk}/set-aside"' in html, source


def test_a_single_text_says_that_its_end_is_held_out(page, owner):
    one = make_dataset(owner, "One", {"book.txt": b"a long story " * 50})
    html = page.get(f"/datasets/{one.pk}").content.decode()
    assert 'data-testid="held-out"' in html and "1 file ·" in html and 'data-testid="split-off"' not in html
    assert 'data-testid="held-out"' in page.get(f"/jobs/new/split?dataset={one.pk}").content.decode()
    job, _ = create_job(owner, recipe="text-generation", dataset=one)
    assert "held out for validation" in page.get(f"/jobs/{job.pk}").content.decode()


def test_a_split_that_differs_from_the_share_says_why(page, owner):
    dataset = make_dataset(owner)
    html = page.get(f"/datasets/{dataset.pk}/split?validation_fraction=0.1").content.decode()
    assert 'data-testid="split-off"' in html and 'data-testid="held-out"' not in html
    exact = next(seed for seed in range(50) if versions.preview_split(dataset, validation_fraction=0.25, seed=seed)
                 == {"train": 3, "validation": 1, "test": 0})  # fmt: skip
    html = page.get(f"/datasets/{dataset.pk}/split?validation_fraction=0.25&seed={exact}").content.decode()
    assert 'data-testid="split-off"' not in html


def test_a_used_dataset_can_not_be_deleted_and_the_dialog_says_what_uses_it(page, owner):
    dataset = make_dataset(owner)
    create_job(owner, recipe="text-generation", dataset=dataset, name="Tales")
    html = page.get(f"/datasets/{dataset.pk}/delete", headers=HTMX).content.decode()
    assert "can&#x27;t be deleted" in html and "1 job, the latest: &#x27;Tales&#x27;" in html
    assert 'data-testid="confirm"' not in html
    assert page.post(f"/datasets/{dataset.pk}/delete").status_code == 409


def test_a_dataset_is_renamed_and_described(page, owner):
    dataset = make_dataset(owner)
    make_dataset(owner, "Taken")
    address = f"/datasets/{dataset.pk}/change"
    answer = page.post(address, {"name": "Tales", "description": "Of foxes"}, follow=True)
    assert "&#x27;Tales&#x27; is changed" in answer.content.decode() and "Of foxes" in answer.content.decode()
    assert page.post(address, {"name": "Taken", "description": ""}, headers=HTMX).status_code == 409
    assert page.post(address, {"name": " ", "description": ""}, headers=HTMX).status_code == 400
    dataset.refresh_from_db()
    assert (dataset.name, dataset.description) == ("Tales", "Of foxes")


def test_images_without_a_class_are_counted(page, owner):
    dataset = make_dataset(owner)
    address = f"/datasets/{dataset.pk}"
    assert 'data-testid="unlabelled"' not in page.get(address).content.decode()
    Dataset.objects.filter(pk=dataset.pk).update(modality="image")
    assert "4 images lie in no folder, so they have no class" in page.get(address).content.decode()
    edit_items(dataset, owner, dataset.items.values_list("pk", flat=True)[:3], field="label", value="fox")
    assert "1 image lies in no folder, so it has no class" in page.get(address, headers=HTMX).content.decode()


def test_the_filter_of_classes_can_be_asked_for_alone(page, world):
    address = f"/datasets/{world.dataset.pk}?part=classes&label={world.marker}"
    html = page.get(address, headers=HTMX).content.decode()
    assert html.startswith("<select") and f'value="{world.marker}" selected' in html and "b.txt" not in html
