"""Pages as a signed-in person gets them."""

import pytest
from django.utils import timezone

from jobs.models import Node, Slot
from tests.world import make_world

HTMX = {"HX-Request": "true"}


@pytest.fixture
def world(owner):
    return make_world(owner)


@pytest.fixture
def page(client, owner):
    """Alice's browser."""
    client.force_login(owner)
    return client


@pytest.fixture
def node(db):
    """A machine that is up, with a slot for the CPU."""
    now = timezone.now()
    found = Node.objects.create(name="bench-1", host="bench", started_at=now, heartbeat_at=now, version="0.1.0")
    Slot.objects.create(node=found, index=0, device="cpu", queue="slot.bench-1.0", memory_bytes=8 << 30)
    return found


@pytest.fixture
def pages(world, node):
    """The address of every page, by its name in the URL configuration."""
    return {
        "dashboard": "/",
        "monitor": "/monitor",
        "queue": "/queue",
        "nodes": "/nodes",
        "node": "/nodes/bench-1",
        "node-action": "/nodes/bench-1/drain",
        "jobs": "/jobs",
        "job-new": "/jobs/new",
        "job-new-expected": f"/jobs/new/expected?recipe=text-generation&dataset={world.dataset.pk}",
        "job-new-split": f"/jobs/new/split?dataset={world.dataset.pk}",
        "job": f"/jobs/{world.job.pk}",
        "job-log": f"/jobs/{world.job.pk}/log?log=marker",
        "job-log-file": f"/jobs/{world.job.pk}/log.txt",
        "job-metrics-file": f"/jobs/{world.job.pk}/metrics.csv",
        "job-new-prompts": "/jobs/new/prompts",
        "job-sample": f"/jobs/{world.job.pk}/samples/10",
        "job-action": f"/jobs/{world.job.pk}/cancel",
        "datasets": "/datasets",
        "dataset-new": "/datasets/new",
        "dataset": f"/datasets/{world.dataset.pk}",
        "dataset-item": f"/datasets/{world.dataset.pk}/items/{world.item.pk}",
        "dataset-split": f"/datasets/{world.dataset.pk}/split",
        "reviews": "/reviews",
        "dataset-review": f"/datasets/{world.dataset.pk}/review",
        "dataset-review-text": f"/datasets/{world.dataset.pk}/review/{world.item.pk}/text?from=3",
        "dataset-gates": f"/datasets/{world.dataset.pk}/gates",
        "dataset-versions": f"/datasets/{world.dataset.pk}/versions",
        "dataset-version": f"/datasets/{world.dataset.pk}/versions/1",
        "dataset-version-left-out": f"/datasets/{world.dataset.pk}/versions/1/left-out",
        "dataset-version-changes": f"/datasets/{world.dataset.pk}/versions/1/changes?since=1",
        "dataset-version-delete": f"/datasets/{world.dataset.pk}/versions/1/delete",
        "dataset-delete": f"/datasets/{world.dataset.pk}/delete",
        "dataset-quality": f"/datasets/{world.dataset.pk}/quality",
        "dataset-quality-act": f"/datasets/{world.dataset.pk}/quality/duplicate/set_aside",
        "dataset-import-cancel": f"/datasets/{world.dataset.pk}/imports/{world.imported.pk}/cancel",
        "dataset-refusals": f"/datasets/{world.dataset.pk}/imports/{world.imported.pk}/set-aside",
        "dataset-sheet": f"/datasets/{world.sheet.pk}/sheet",
        "sheet-row": f"/datasets/{world.sheet.pk}/sheet/rows/3",
        "sheet-template-new": f"/datasets/{world.sheet.pk}/sheet/templates/new",
        "sheet-template": f"/datasets/{world.sheet.pk}/sheet/templates/{world.rendering.template_id}",
        "sheet-template-delete": f"/datasets/{world.sheet.pk}/sheet/templates/{world.rendering.template_id}/delete",
        "sheet-render": f"/datasets/{world.sheet.pk}/sheet/templates/{world.rendering.template_id}/render",
        "rendering": f"/datasets/{world.sheet.pk}/sheet/renderings/{world.rendering.pk}",
        "dataset-subjects": f"/datasets/{world.dataset.pk}/subjects",
        "automatic": "/automatic",
        "subjects": "/subjects",
        "subject-new": "/subjects/new",
        "subject": f"/subjects/{world.subject.pk}",
        "subject-delete": f"/subjects/{world.subject.pk}/delete",
        "dataset-pairs": f"/datasets/{world.rendering.target_id}/pairs",
        "models": "/models",
        "model": f"/models/{world.version.model_id}",
        "version": f"/versions/{world.version.pk}",
        "version-merge": f"/versions/{world.version.pk}/merge",
        "version-file": f"/versions/{world.version.pk}/files/1",
        "version-picture": f"/versions/{world.version.pk}/pictures/fox.png",
        "history": "/history",
        "history-compare": "/history/compare",
        "version-changes": f"/versions/{world.version.pk}/changes",
        "session": f"/history/{world.session.pk}",
        "history-trends": "/history/trends",
        "history-view": f"/history/views/{world.view.pk}",
        "history-view-delete": f"/history/views/{world.view.pk}/delete",
        "performance": "/performance",
        "performance-model": f"/performance/models/{world.version.model_id}",
        "searches": "/searches",
        "search-new": "/searches/new",
        "search": f"/searches/{world.search.pk}",
        "search-action": f"/searches/{world.search.pk}/cancel",
        "schedules": "/schedules",
        "schedule-new": "/schedules/new",
        "schedule-preview": "/schedules/preview?kind=daily&at=02:30&zone=UTC",
        "schedule": f"/schedules/{world.schedule.pk}",
        "template-edit": f"/templates/{world.template.pk}/edit",
        "schedule-edit": f"/schedules/{world.schedule.pk}/edit",
        "schedule-action": f"/schedules/{world.schedule.pk}/delete",
        "endpoints": "/endpoints",
        "endpoint": f"/endpoints/{world.endpoint.pk}",
        "endpoint-delete": f"/endpoints/{world.endpoint.pk}/delete",
        "templates": "/templates",
        "template-new": f"/templates/new?job={world.job.pk}",
        "template-action": f"/templates/{world.template.pk}/delete",
        "settings": "/settings",
        "token-revoke": f"/settings/tokens/{world.token.pk}/revoke",
    }
