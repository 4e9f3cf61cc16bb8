"""Nothing that is put into an address or a form makes an error of ours."""

import pytest

HOSTILE = [
    "\x00",
    "'\"><svg/onload=alert(1)>",
    "{{7*7}}",
    "%00",
    "9" * 400,
    "-1",
    "nan",
    "../../etc/passwd",
    "é\u202e",
    "😀",
]
FIELDS = ["search", "page", "sort", "status", "recipe", "modality", "outcome", "since", "until", "label", "log",
          "chart", "model", "name", "dataset", "from", "validation_fraction", "test_fraction", "seed", "export",
          "next", "owner", "after", "before", "quality_from", "review", "aside", "group", "finding", "version",
          "split", "rows"]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_parameters_of_every_page(page, pages, text):
    for name, address in pages.items():
        path = address.partition("?")[0]
        answer = page.get(path, dict.fromkeys(FIELDS, text))
        assert answer.status_code in {200, 400, 403, 404}, (name, answer.status_code)
        if not answer.streaming:
            assert b"<svg/onload" not in answer.content, name


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_forms(page, world, text):
    addresses = ["/jobs/new", "/jobs/batch", "/datasets/new", "/settings/tokens", "/theme",
                 "/login", f"/jobs/{world.job.pk}/change", f"/datasets/{world.dataset.pk}/freeze",
                 f"/datasets/{world.dataset.pk}/upload",
                 f"/datasets/{world.dataset.pk}/items/edit", f"/datasets/{world.dataset.pk}/edits/{world.edit.pk}/undo",
                 f"/datasets/{world.dataset.pk}/items/{world.item.pk}/change"]  # fmt: skip
    names = [*FIELDS, "job", "action", "one", "username", "password", "theme", "days", "description", "device",
             "priority", "priority_number", "devices", "memory_gib", "labels", "not_before", "zone", "after",
             "after_failure", "max_seconds", "stall_seconds", "sure", "idempotency_key",
             "config.steps", "settings_of", "files", "item", "all", "caption", "to_label", "subject",
             "text"]  # fmt: skip
    for address in addresses:
        assert page.post(address, dict.fromkeys(names, text)).status_code < 500, address


def test_a_refused_method_is_405(page, world):
    for address in ("/", "/jobs", "/datasets", f"/jobs/{world.job.pk}", "/history"):
        assert page.post(address).status_code == 405
    for address in ("/theme", "/logout"):
        assert page.get(address).status_code == 405


def test_the_address_of_a_sent_form_opened_again_leads_to_its_page(page, world):
    dataset, version = f"/datasets/{world.dataset.pk}", f"/versions/{world.version.pk}"
    pages = {
        "/settings/tokens": "/settings", "/settings/password": "/settings", "/jobs/batch": "/jobs",
        f"{dataset}/upload": dataset, f"{dataset}/freeze": dataset, f"{dataset}/change": dataset,
        f"{version}/try": version,
    }  # fmt: skip
    for address, to in pages.items():
        assert page.get(address).url == to
        assert page.put(address).status_code == 405
