"""Merging an adapter into its base, on the pages of both versions."""

import pytest
from django.utils import timezone

from jobs.models import Job
from registry.live import VersionSource, seen
from registry.models import Merge, ModelVersion
from registry.versions import listed
from tests.pages.conftest import HTMX
from tests.world import make_job, make_version


@pytest.fixture
def adapter(owner):
    base = make_version(owner, "Whole")
    return make_version(owner, more={"config.json": b'{"format": 1, "adapter": {"rank": 4}}'}, base_version=base)


def html(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def ended(status, **columns):
    ModelVersion.objects.filter(merged_by__isnull=False).update(status="ready" if status == "completed" else "failed")
    Merge.objects.update(status=status, finished_at=timezone.now(), **columns)


def test_only_an_adapter_has_the_button_and_it_asks_first(page, adapter):
    whole = html(page.get(f"/versions/{adapter.base_version_id}"))
    assert 'data-testid="merge-version"' not in whole and "hx-sse:connect" not in whole
    assert 'data-testid="merge-version"' in html(page.get(f"/versions/{adapter.pk}"))
    asked = html(page.get(f"/versions/{adapter.pk}/merge", headers=HTMX))
    assert "Merge Teller v1 into its base?" in asked and 'data-testid="confirm"' in asked and "<html" not in asked
    refused = html(page.get(f"/versions/{adapter.base_version_id}/merge"))
    assert "can&#x27;t be merged" in refused and "whole model" in refused and 'data-testid="confirm"' not in refused
    assert not Merge.objects.exists()


def test_whoever_asks_sees_the_new_version_and_both_pages_tell_how_it_goes(page, adapter):
    answer = page.post(f"/versions/{adapter.pk}/merge", headers=HTMX)
    version = Merge.objects.get().version
    assert answer.headers["HX-Redirect"] == f"/versions/{version.pk}"
    assert page.post(f"/versions/{adapter.pk}/merge").url == f"/versions/{version.pk}", "asked twice it is the same"
    new, old = html(page.get(f"/versions/{version.pk}")), html(page.get(f"/versions/{adapter.pk}"))
    assert (
        'data-testid="merge-open"' in new
        and "Waits for a worker" in new
        and "It can be once its files are there" in new
    )
    assert "Is being merged into its base as" in old and 'data-testid="merge-version"' not in old
    assert f"/stream/version/{version.pk}?seen=processing-queued-" in new
    assert "Adapter</span>" in new and "Whole v1" in new and "asked for by alice" in new
    assert "merged from it</span>" in old


def test_the_job_that_made_the_adapter_names_what_was_merged_of_it(page, owner, adapter):
    job = make_job(owner)
    Job.objects.filter(pk=job.pk).update(
        model_version=adapter, recipe="text-generation", status="completed", completed_at=timezone.now()
    )
    make_version(owner, "Next", base_version=adapter)
    page.post(f"/versions/{adapter.pk}/merge")
    shown = html(page.get(f"/jobs/{job.pk}"))
    assert shown.count("merged from it</span>") == shown.count("trained from it</span>") == 1


def test_a_failure_is_told_in_words_and_can_be_tried_again(page, adapter):
    page.post(f"/versions/{adapter.pk}/merge")
    ended("failed", message="The base model '<llama>' is gone.", hint="Put it back.")
    version = Merge.objects.get().version
    new, old = html(page.get(f"/versions/{version.pk}")), html(page.get(f"/versions/{adapter.pk}"))
    assert "&lt;llama&gt;" in new and "Put it back." in new and 'data-testid="merge-again"' in new
    assert "failed." in old and 'data-testid="merge-version"' in old
    page.post(f"/versions/{adapter.pk}/merge")
    assert (Merge.objects.get().status, Merge.objects.get().version) == ("queued", version)


def test_an_open_page_asks_for_itself_again_once_for_each_change(page, owner, adapter):
    page.post(f"/versions/{adapter.pk}/merge")
    version = listed().get(pk=Merge.objects.get().version_id)
    source = VersionSource.open(owner, str(version.pk), {"seen": seen(version)})
    assert source.snapshot() == [] and source.update() == []
    ended("completed")
    assert [message.event for message in source.snapshot()] == ["items"], "also when it ended before the stream began"
    assert [message.event for message in source.update()] == ["items"] and source.update() == []
    fragment = html(page.get(f"/versions/{version.pk}", headers=HTMX))
    assert "<html" not in fragment and "Ready" in fragment and "merge-open" not in fragment
    assert "Merged into its base as" in html(page.get(f"/versions/{adapter.pk}"))
    odd = VersionSource.open(owner, str(version.pk), {"seen": "x" * 999})
    assert odd.channel == f"version.{version.pk}."


def test_a_merge_is_read_only_in_the_administration(client, administrator, page, adapter):
    page.post(f"/versions/{adapter.pk}/merge")
    client.force_login(administrator)
    assert "Teller v1" in html(client.get("/admin/registry/merge/"))
    assert client.get("/admin/registry/merge/add/").status_code == 403
