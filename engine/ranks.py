"""One process of a run of several, as torchrun started it: it knows its peers and doesn't survive them.

A collective operation whose partner died may fail at once, or wait for ever. So each rank watches the others:
when one ends that had not said that it leaves, the rest end too, and the launcher reports how the first one died.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from engine.board import NAME, Board
from engine.control import Interrupted
from engine.processes import die_with_parent, set_name
from engine.protocol import Exit

LOST_PEER = 71  # exit code of a rank that ends because another one died
_LOOK_SECONDS = 0.01  # between two looks for peers that have not begun
_GRACE_SECONDS = 1.0  # in which the death behind a failed collective operation becomes known
_LAST_WORDS_SECONDS = 0.5


class Rank:
    """This process among its peers."""

    def __init__(self, number: int, board: Board) -> None:
        self.number, self.board = number, board
        self.before_death: Callable[[], None] = lambda: None
        self._doomed = threading.Event()

    def begin(self) -> None:
        """Wait until all peers have begun, and watch them from then on.

        Until all have begun torchrun notices a death, and its SIGTERM still ends this process at once.
        """
        self.board.register(self.number, os.getpid())
        while not all(pids := self.board.pids()):
            time.sleep(_LOOK_SECONDS)
        peers = {_open(pid): rank for rank, pid in enumerate(pids) if rank != self.number}
        threading.Thread(target=self._watch, args=(peers,), name="peers", daemon=True).start()

    def breathe(self, own: Callable[[], None]) -> None:
        """Inside long work: raises Interrupted in every rank soon after `own` raised it in rank 0."""
        if self.number == 0:
            try:
                own()
            except Interrupted:
                self.board.interrupt()
                raise
        elif self.board.interrupted:
            raise Interrupted

    def fail(self, failure: dict[str, Any]) -> None:
        """Leave the reason of a failure for the launcher, which reports it when rank 0 doesn't.

        Rank 0 may be about to report the same: it is given a moment, which its leaving ends.
        """
        self.board.fail(self.number, failure)
        time.sleep(_GRACE_SECONDS)

    def excuse(self) -> None:
        """After an error that the loss of a peer may have caused: doesn't return when it was that."""
        if self._doomed.wait(_GRACE_SECONDS):
            threading.Event().wait()  # the watching thread ends this process

    def leave(self, code: int) -> NoReturn:
        """End this process. `code` of rank 0 is that of the run; another rank that failed takes all with it."""
        if self.number and code == Exit.FAILED:
            os._exit(code)
        if self.number == 0:
            self.board.end(code)
        self.board.leave(self.number)
        os._exit(0)

    def _watch(self, peers: dict[int, int]) -> None:
        poll = select.poll()
        for fd in peers:
            poll.register(fd, select.POLLIN)
        while peers:
            for fd, _ in poll.poll():
                rank = peers.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                if not self.board.left(rank):
                    self._die()
                if rank == 0:
                    os._exit(0)  # the run is over

    def _die(self) -> NoReturn:
        self._doomed.set()
        threading.Timer(_LAST_WORDS_SECONDS, os._exit, (LOST_PEER,)).start()
        with suppress(Exception):
            self.before_death()
        os._exit(LOST_PEER)


def rank_of_environment() -> Rank | None:
    """The rank that our launcher made this process, None when it is a run of its own.

    From the first moment on it dies with the launcher; what it prints goes to standard error.
    """
    address = os.environ.get(NAME)
    if address is None:
        return None
    die_with_parent()
    try:
        board = Board.open(address, int(os.environ["WORLD_SIZE"]))
    except OSError:
        os._exit(LOST_PEER)  # the launcher died before the kernel was asked to tell us
    if os.getppid() != int(address.partition(":")[0]):
        os._exit(LOST_PEER)
    number = int(os.environ["RANK"])
    set_name(f"train-rank-{number}")
    return Rank(number, board)


def _open(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        os._exit(LOST_PEER)
