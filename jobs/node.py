"""The node manager: this machine's place in the hub.

It registers the node and its slots, keeps the warm server, the model server and one django-q2 cluster per slot (and one
for background work) running, beats, and sweeps. It carries no job: when it dies, jobs are taken up again by the next.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django_q.models import OrmQ

from common.background import QUEUE
from common.errors import ConflictError, InvalidInputError, database_refuses
from common.paths import run_folder, warm_socket
from common.push import publish
from engine.launch import boot_id, engine_environment, ping, warm_command
from engine.processes import process_alive, start_time_of
from engine.telemetry import devices, driver_version, machine_figures
from jobs import membership, nodes
from jobs.cluster import Cluster
from jobs.model_server import ModelServer
from jobs.models import Node, Slot
from jobs.sweep import SWEEPS, background_hangs, deaf_queues

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEVICE = re.compile(r"cpu|cuda:[0-9]{1,3}")
COUNT = re.compile(r"[0-9]{1,3}")
MOST_SLOTS = 999
TICK = 0.25
BEAT_SECONDS = 2.0
SWEEP_SECONDS = 1.0
WARM_SECONDS = 3.0  # between two tries to start the warm server
GRACE_SECONDS = 25.0
AWAY = (OperationalError, InterfaceError)


class NodeManager:
    """Runs until it is told to stop. Single-threaded, because it forks."""

    def __init__(self, name: str, slots: list[str], labels: Sequence[str] = ()) -> None:
        self.name = name
        self.devices = slots
        self.labels = list(labels)
        self.instance = uuid.uuid4()
        self.node: Node | None = None
        self.clusters: dict[str, Cluster] = {}
        self.warm: subprocess.Popen[bytes] | None = None
        self.models = ModelServer(name)
        self.stopping = False
        self.next_beat = self.next_sweep = self.next_warm = 0.0
        self.complained = 0.0

    def run(self) -> None:
        """Start everything, keep it running, stop it in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._claim_name()
        self._with_database(membership.check, first=True)
        self._start_warm()
        self._with_database(self._register)
        try:
            while not self.stopping:
                self.tick()
                time.sleep(TICK)
        finally:
            self.shut_down()

    def tick(self) -> None:
        """One round: restart what has died, beat, sweep."""
        now = time.monotonic()
        self._guarded(self._watch)
        self._guarded(self.models.watch)
        if now >= self.next_beat:
            self.next_beat = now + BEAT_SECONDS
            self._guarded(self._beat)
        if now >= self.next_sweep:
            self.next_sweep = now + SWEEP_SECONDS
            for part in (self.models.reconcile, *SWEEPS, self._restart_deaf):
                self._guarded(part)

    def _guarded(self, part: Callable[[], object]) -> None:
        """One duty that fails, by a full disk or a row that can't be handled, must not end the others, or the node."""
        try:
            part()
        except AWAY as error:
            self._complain(error)
        except Exception as error:
            self._complain(error, "a duty of this node failed", trace=True)

    def shut_down(self) -> None:
        """Let running jobs save a checkpoint and go back to the queue, then end every process."""
        try:
            if self.node and self._mine().update(state=Node.State.STOPPED):
                nodes.note(self.node, "stopped", None, "Its jobs save a checkpoint and go on elsewhere, or here later.")
        except AWAY as error:
            self._complain(error)
        deadline = time.monotonic() + GRACE_SECONDS
        for cluster in self.clusters.values():
            cluster.ask_to_stop()
        while any(cluster.alive() for cluster in self.clusters.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for cluster in self.clusters.values():
            cluster.kill()
        self.models.stop()
        if self.warm:
            self.warm.terminate()
            try:
                self.warm.wait(5)
            except subprocess.TimeoutExpired:
                self.warm.kill()
        connections.close_all()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _claim_name(self) -> None:
        """Two managers of one name on one machine would fight over its slots."""
        path = run_folder() / f"node-{self.name}.pid"
        if path.exists():
            pid, _, started = path.read_text().partition(" ")
            if pid.isdigit() and int(pid) != os.getpid() and process_alive(int(pid), int(started or 0)):
                raise ConflictError(
                    f"A node called '{self.name}' is already running here as process {pid}.",
                    "Stop it first, or give this one another name with TRAINHUB_NODE.",
                )
        path.write_text(f"{os.getpid()} {start_time_of(os.getpid())}")

    @transaction.atomic
    def _register(self) -> None:
        """Write down this node and its slots; ConflictError when a living manager elsewhere has the name."""
        known = Node.objects.select_for_update().filter(name=self.name).first()
        if known and known.instance != self.instance and _manager_lives(known):
            raise ConflictError(
                f"A node called '{self.name}' is running on {known.host}.",
                "Stop it first, or give this one another name with TRAINHUB_NODE.",
            )
        facts = {
            "host": socket.gethostname(),
            "boot_id": boot_id(),
            "manager_pid": os.getpid(),
            "manager_start": start_time_of(os.getpid()) or 0,
            "instance": self.instance,
            "version": settings.TRAINHUB_VERSION,
            "versions": _versions(),
            "devices": [asdict(device) for device in devices()],
            "labels": self.labels,
            "state": Node.State.ACTIVE,
            "heartbeat_at": Now(),
            "started_at": Now(),
        }
        self.node, _ = Node.objects.update_or_create(name=self.name, defaults=facts)
        memory = {("cuda" if one.kind == "gpu" else "cpu", one.index): one.memory_bytes for one in devices()}
        for index, device in enumerate(self.devices):
            kind, _, number = device.partition(":")
            row = {"device": device, "queue": f"slot.{self.name}.{index}", "enabled": True}
            row["memory_bytes"] = memory.get((kind, int(number or 0)))
            Slot.objects.update_or_create(node=self.node, index=index, defaults=row)
        Slot.objects.filter(node=self.node, index__gte=len(self.devices)).update(enabled=False)
        slots = f"{len(self.devices)} {'slot' if len(self.devices) == 1 else 'slots'}"
        nodes.note(self.node, "started", None, f"TrainHub {settings.TRAINHUB_VERSION}, {slots}.")

    def _mine(self) -> QuerySet[Node]:
        """This node's row, as long as this manager holds its name."""
        return Node.objects.filter(name=self.name, instance=self.instance)

    def _watch(self) -> None:
        """Start what should run and doesn't."""
        queues = [f"slot.{self.name}.{index}" for index in range(len(self.devices))]
        for queue in (QUEUE, *queues):
            cluster = self.clusters.setdefault(queue, Cluster(queue))
            if not cluster.alive() and time.monotonic() - cluster.started > 1:
                self._restart(cluster)
        if self.warm and self.warm.poll() is not None:
            log.warning("the warm server ended with %s and is started again", self.warm.returncode)
            self.warm = None
        if self.warm is None and time.monotonic() >= self.next_warm:
            self._start_warm()

    def _restart(self, cluster: Cluster) -> None:
        if cluster.pid:
            log.warning("cluster %s is started again", cluster.queue)
        cluster.kill()
        if cluster.queue != QUEUE:
            # Knocks that the old tree held in memory are gone; the sweep knocks again.
            self._with_database(lambda: OrmQ.objects.filter(key=cluster.queue).delete())
        else:
            self._with_database(lambda: OrmQ.objects.filter(key=QUEUE, lock__gt=Now()).update(lock=Now()))
        cluster.start()

    def _restart_deaf(self) -> None:
        for queue in deaf_queues(self.node.pk) if self.node else []:
            log.warning("cluster %s does not answer and is started again", queue)
            self._restart(self.clusters[queue])
        if background_hangs() and time.monotonic() - self.clusters[QUEUE].started > 60:
            log.warning("background work does not move; its cluster is started again")
            self._restart(self.clusters[QUEUE])

    def _start_warm(self) -> None:
        path = warm_socket()
        self.next_warm = time.monotonic() + WARM_SECONDS
        if ping(path):
            return  # another node of this machine has one
        self.warm = subprocess.Popen(
            warm_command(path, parent=os.getpid()),
            env=engine_environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=Path("/"),
        )

    def _beat(self) -> None:
        """Say that this node lives. One whose name was taken over by another manager stops."""
        if self._mine().update(heartbeat_at=Now(), figures=machine_figures(), state=Node.State.ACTIVE):
            publish("nodes")
        elif Node.objects.filter(name=self.name).exists():
            log.error("another manager has taken the name '%s' over; this one stops", self.name)
            self.stopping = True
        else:
            self._register()  # it was forgotten while it could not be heard

    def _with_database(self, call: Any, first: bool = False) -> None:
        """Run a call that is safe to repeat, until the database answers or the manager is stopped.

        At the `first` contact a user or database that PostgreSQL does not know ends it: InvalidInputError.
        """
        while not self.stopping:
            try:
                call()
                return
            except AWAY as error:
                if first and (problem := database_refuses(error)):
                    raise problem from error
                self._complain(error)
                time.sleep(0.5)

    def _complain(self, error: Exception, what: str = "the database is away", trace: bool = False) -> None:
        """At most one line in ten seconds."""
        connections.close_all()
        if time.monotonic() - self.complained > 10:
            self.complained = time.monotonic()
            log.warning("%s: %s", what, error, exc_info=error if trace else None)


def _manager_lives(known: Node) -> bool:
    """Whether the manager that holds a node's name is at work: by its process on this host, else by its heartbeat."""
    if known.state == Node.State.STOPPED:
        return False
    if known.host == socket.gethostname() and known.boot_id == boot_id():
        return process_alive(known.manager_pid, known.manager_start)
    return Node.heard_of().filter(pk=known.pk).exists()


def _versions() -> dict[str, str]:
    """What runs here, for its page; asked of the packages' records, so that nothing heavy is loaded."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in ("torch", "django-q2"):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    if driver := driver_version():
        found["NVIDIA driver"] = driver
    return found


def check_name(name: str) -> None:
    """A node's name stands in addresses, queue names and file names. InvalidInputError for one that can't."""
    if not NAME.fullmatch(name):
        raise InvalidInputError(
            f"'{name[:100]}' can't be a node's name.",
            "Use up to 100 letters, digits, dots, hyphens and underscores: TRAINHUB_NODE=… or --name.",
        )


def slots_of_this_machine(wanted: str = "") -> list[str]:
    """The devices of this node's slots: `wanted` ("cpu,cpu" or "2"), else one per GPU, else one for the CPU.

    InvalidInputError for what names none, or one that is not here.
    """
    gpus = [f"cuda:{device.index}" for device in devices() if device.kind == "gpu"]
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    if not words:
        return gpus or ["cpu"]
    if COUNT.fullmatch(words[0]) and len(words) == 1:
        count = int(words[0])
        return (gpus * count)[:count] if gpus else ["cpu"] * count
    usage = (
        f"Use a number to {MOST_SLOTS}, or devices by comma, such as cuda:0,cuda:1,cpu: TRAINHUB_SLOTS=… or --slots."
    )
    for word in words:
        if not DEVICE.fullmatch(word):
            raise InvalidInputError(f"'{word[:40]}' can't be a slot.", usage)
    if len(words) > MOST_SLOTS:
        raise InvalidInputError(f"{len(words):,} slots can't be had on one node.", usage)
    if missing := [word for word in words if word not in {"cpu", *gpus}]:
        raise InvalidInputError(
            f"This machine has no device {missing[0]}.",
            f"It has {', '.join(['cpu', *gpus])}. Correct TRAINHUB_SLOTS or --slots, or check the driver.",
        )
    return words
