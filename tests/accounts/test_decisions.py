"""What people decide is written down, once, with who it was."""

from __future__ import annotations

import json

import pytest

from accounts import tokens
from accounts.models import AuditEntry
from datasets.creation import delete_dataset
from datasets.freezing import removal, versions
from datasets.gating import rulebook
from datasets.gating.switches import set_gates
from jobs import control
from jobs.automatic import settings as automatic
from registry import merging
from tests.world import make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db


def decided() -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.order_by("id")
    assert all(isinstance(json.loads(row.details), dict) for row in rows)
    return [(row.actor_name, row.verb, row.kind) for row in rows]


def test_decisions_about_data_are_written_down(owner):
    dataset = make_dataset(owner)
    set_gates(dataset, owner, approvals=1)
    rule = rulebook.save(owner, name="Ours", decision="allow", reason="Ours.", dataset=dataset)
    rulebook.save(owner, rule, enabled=False)
    rulebook.delete(rule, owner)
    set_gates(dataset, owner, approvals=0)
    removal.delete_version(versions.freeze(dataset, owner), owner)
    delete_dataset(dataset, owner)
    assert decided() == [
        ("alice", "changed gates", "dataset"), ("alice", "made", "governancerule"),
        ("alice", "changed", "governancerule"), ("alice", "deleted", "governancerule"),
        ("alice", "changed gates", "dataset"), ("alice", "deleted", "datasetversion"), ("alice", "deleted", "dataset"),
    ]  # fmt: skip
    assert AuditEntry.objects.first().name == "Fables"


def test_decisions_about_jobs_models_and_tokens_are_written_down(owner, administrator):
    job = make_job(owner)
    control.cancel(job, administrator, "Not needed.")
    merging.merge(make_version(owner, more={"config.json": b'{"adapter": {}}'}), owner)
    automatic.change(owner, threshold=7)
    tokens.revoke(tokens.create(owner, "Nightly")[0])
    assert decided() == [
        ("admin", "cancelled", "job"), ("alice", "asked to merge", "modelversion"),
        ("alice", "changed", "automatictraining"), ("alice", "made", "apitoken"), ("alice", "revoked", "apitoken"),
    ]  # fmt: skip
    assert "th_" in AuditEntry.objects.first().name and len(AuditEntry.objects.first().name) < 40
