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
        "model-names-part": f"/models/{world.version.model_id}/names/part",
        "model-rollback": f"/models/{world.version.model_id}/rollback",
        "model-names": f"/models/{world.version.model_id}/names",
        "model-name-remove": f"/models/{world.version.model_id}/names/champion/remove",
        "model-policy": f"/models/{world.version.model_id}/policy",
        "version-promote": f"/versions/{world.version.pk}/promote",
        "promotions": "/promotions",
        "promotion": f"/promotions/{world.promotion.pk}",
        "undeploy": f"/deployments/{world.deployment.pk}/undeploy",
        "version": f"/versions/{world.version.pk}",
        "version-merge": f"/versions/{world.version.pk}/merge",
        "version-reproductions": f"/versions/{world.version.pk}/reproductions",
        "version-card": f"/versions/{world.version.pk}/card",
        "version-card-notes": f"/versions/{world.version.pk}/card/notes",
        "model-card-notes": f"/models/{world.version.model_id}/card/notes",
        "version-export": f"/versions/{world.version.pk}/export",
        "version-lineage": f"/versions/{world.version.pk}/lineage",
        "version-delete": f"/versions/{world.version.pk}/delete",
        "version-file": f"/versions/{world.version.pk}/files/1",
        "version-picture": f"/versions/{world.version.pk}/pictures/fox.png",
        "predictions": f"/models/{world.version.model_id}/predictions",
        "predictions-collect": f"/models/{world.version.model_id}/predictions/collect",
        "prediction": f"/predictions/{world.prediction.pk}",
        "history": "/history",
        "history-compare": "/history/compare",
        "version-changes": f"/versions/{world.version.pk}/changes",
        "session": f"/history/{world.session.pk}",
        "history-trends": "/history/trends",
        "history-view": f"/history/views/{world.view.pk}",
        "history-view-delete": f"/history/views/{world.view.pk}/delete",
        "performance": "/performance",
        "performance-model": f"/performance/models/{world.version.model_id}",
        "retraining": "/performance/retraining",
        "retraining-one": f"/performance/retraining/{world.retraining.pk}",
        "retraining-policy": f"/performance/retraining/models/{world.version.model_id}",
        "retraining-words": f"/performance/retraining/models/{world.version.model_id}/words?sent=1",
        "retraining-now": f"/performance/retraining/models/{world.version.model_id}/now",
        "experiments": "/performance/experiments",
        "experiment-new": f"/performance/experiments/new?model={world.experiment.model_id}",
        "experiment": f"/performance/experiments/{world.experiment.pk}",
        "experiment-action": f"/performance/experiments/{world.experiment.pk}/stop",
        "drift": "/performance/drift",
        "drift-checks": "/performance/drift/checks",
        "drift-check": f"/performance/drift/checks/{world.drift.pk}",
        "drift-monitor": f"/performance/drift/models/{world.version.model_id}",
        "alerts": "/performance/alerts",
        "alert": f"/performance/alerts/{world.alert.pk}",
        "alert-rules": "/performance/alerts/rules",
        "alert-rule-new": "/performance/alerts/rules/new?kind=metric",
        "alert-rule": f"/performance/alerts/rules/{world.alert.rule_id}",
        "alert-rule-delete": f"/performance/alerts/rules/{world.alert.rule_id}/delete",
        "notifications": "/settings/notifications",
        "channel": f"/settings/notifications/{world.delivery.channel_id}",
        "channel-delete": f"/settings/notifications/{world.delivery.channel_id}/delete",
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
        "audit": "/settings/audit",
        "token-revoke": f"/settings/tokens/{world.token.pk}/revoke",
    }
