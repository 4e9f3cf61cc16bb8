"""Bringing what is loaded on this machine in line with what is deployed, and telling what came of it.

The node manager calls `reconcile` about once a second. Nothing here may take long: files that are not laid out yet are
left to a background task, and the version is loaded once they are there.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from common.background import enqueue
from common.push import publish
from engine.protocol import EngineError, FailureCode
from engine.serving import client
from engine.sockets import BrokenFrame
from registry.artifacts import damaged_base, laid_out
from registry.loading import KEY, note_refusal, order_of
from registry.models import ModelVersion, Served
from registry.serving import wanted

log = logging.getLogger(__name__)

LAY_OUT = "registry.tasks.lay_out"
ASK_AGAIN_SECONDS = 20.0  # for a task that lays files out to have been lost
HEARD_SECONDS = 10.0  # a row is written anew at least so often …
COUNTED_SECONDS = 2.0  # … and for mere counts at most so often
STALE = timedelta(seconds=40)  # after which a row says nothing about now
FORGOTTEN = timedelta(hours=1)


class Reconciler:
    """One node's; remembers what it has written, so that rows are written when they change."""

    def __init__(self, node: str, socket_path: Path) -> None:
        self.node, self.socket_path = node, socket_path
        self.asked: dict[int, float] = {}
        self.written: dict[int, tuple[float, dict[str, Any]]] = {}
        self.begun = False  # whether what a dead one left was taken away

    def reconcile(self) -> bool:
        """One round; False when the model server does not answer."""
        wishes = wanted.wishes()
        known = wanted.versions(wishes)
        orders = []
        for wish in wishes:
            version = known.get(wish.version_id)
            if version is not None and not damaged_base(version) and self._there(version):
                order = order_of(version).as_dict()
                orders.append({**order, "replicas": wish.replicas, "kept": wish.kept})
        try:
            told = client.wish(self.socket_path, orders)
        except (OSError, BrokenFrame):
            return False
        self._write(told["models"])
        for model in told["models"]:
            error, version = model["error"] or {}, known.get(_version(model["key"]) or 0)
            if version is not None and error.get("code") == FailureCode.DAMAGED:
                # One that is deployed and not asked yet is marked as soon as one that is asked.
                note_refusal(version, EngineError(FailureCode.DAMAGED, error["message"], error["hint"]))
        return True

    def _there(self, version: ModelVersion) -> bool:
        if laid_out(version):
            return True
        if time.monotonic() - self.asked.get(version.pk, -ASK_AGAIN_SECONDS) >= ASK_AGAIN_SECONDS:
            self.asked[version.pk] = time.monotonic()
            enqueue(LAY_OUT, version.pk)
        return False

    def _write(self, models: list[dict[str, Any]]) -> None:
        """Put down what changed, and that the rest is still so."""
        now = time.monotonic()
        rows = {version: _row(told) for told in models if (version := _version(told["key"])) is not None}
        due = {version: row for version, row in rows.items() if self._due(version, row, now)}
        gone = set(self.written) - set(rows)
        if not due and not gone and self.begun:
            return
        there = dict(ModelVersion.objects.filter(pk__in=[*due, *gone]).values_list("pk", "model"))
        with transaction.atomic():
            for version, row in due.items():
                if version in there:
                    facts = {**row, "heard_at": Now()}
                    Served.objects.update_or_create(version_id=version, node=self.node, defaults=facts)
            mine = Served.objects.filter(node=self.node)
            mine.exclude(version__in=list(rows)).delete()
            if due:
                Served.objects.filter(heard_at__lt=Now() - FORGOTTEN).delete()
            for model in sorted({there[version] for version in (*due, *gone) if version in there}):
                publish(f"model.{model}")
        self.begun = True
        self.written = {version: kept for version, kept in self.written.items() if version in rows}
        self.written.update({version: (now, row) for version, row in due.items()})

    def _due(self, version: int, row: dict[str, Any], now: float) -> bool:
        """Whether a row is to be written: its state at once, its counts now and then, the rest to say that it lives."""
        if version not in self.written:
            return True
        at, before = self.written[version]
        told = ("state", "message", "restarts")
        if any(row[name] != before[name] for name in told) or len(row["replicas"]) != len(before["replicas"]):
            return True
        return now - at > (COUNTED_SECONDS if row != before else HEARD_SECONDS)


def _row(told: dict[str, Any]) -> dict[str, Any]:
    error = told["error"] or {}
    return {
        "state": told["state"], "message": error.get("message", "")[:500], "hint": error.get("hint", "")[:500],
        "replicas": told["replicas"], "memory_bytes": told["memory"], "requests": told["requests"],
        "restarts": told["restarts"],
    }  # fmt: skip


def _version(key: str) -> int | None:
    number = key.removeprefix(KEY)
    return int(number) if key.startswith(KEY) and number.isdecimal() else None
