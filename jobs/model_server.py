"""The model server of this machine, as the node manager keeps it: started, watched, told what to load."""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from common.errors import InvalidInputError
from common.paths import model_socket, warm_socket
from engine.launch import LostServer, start_model_server
from engine.serving import client
from engine.serving.orders import memory_limit
from engine.sockets import BrokenFrame
from registry.serving.reconciling import Reconciler

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5  # between two tries to start it
LOOK_SECONDS = 5.0  # between two looks whether that of another node is there
STOP_SECONDS = 5.0


class ModelServer:
    """See the module. Single-threaded, as the node manager is; no call takes long."""

    def __init__(self, node: str) -> None:
        self.wanted = settings.TRAINHUB_SERVING
        self.limit = _limit(settings.TRAINHUB_SERVING_MEMORY)
        self.path: Path = model_socket()
        self.reconciler = Reconciler(node, self.path)
        self.pid = 0
        self.pidfd = -1
        self.next_try = 0.0

    def watch(self) -> None:
        """Start it when it is not there, and tell it at once what to load."""
        if not self.wanted or self._alive() or time.monotonic() < self.next_try:
            return
        self.next_try = time.monotonic() + AGAIN_SECONDS
        if _answers(self.path):
            self.next_try = time.monotonic() + LOOK_SECONDS
            return  # another node of this machine has one
        if self.pid:
            log.warning("the model server ended and is started again")
        try:
            self.pid = start_model_server(warm_socket(), self.path, parent=os.getpid(), limit=self.limit)
            self.pidfd = os.pidfd_open(self.pid)
        except (LostServer, OSError):
            return  # the warm server is not there yet

    def reconcile(self) -> None:
        """Have it load what is deployed, and put down what it says."""
        if self._alive():
            self.reconciler.reconcile()

    def stop(self) -> None:
        """End it and everything that it has loaded."""
        if not self._alive():
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        if not self._over(STOP_SECONDS):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def _alive(self) -> bool:
        if self.pidfd < 0:
            return False
        if self._over(0):
            os.close(self.pidfd)
            self.pidfd = -1
            return False
        return True

    def _over(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(int(seconds * 1000)))


def _answers(path: Path) -> bool:
    try:
        return bool(client.status(path, seconds=1.0))
    except (OSError, BrokenFrame):
        return False


def _limit(said: str) -> int:
    try:
        return memory_limit(said)
    except ValueError:
        raise InvalidInputError(
            f"TRAINHUB_SERVING_MEMORY is '{said[:40]}', which is no amount of memory.", "Write 6G, 800M or 40%."
        ) from None
