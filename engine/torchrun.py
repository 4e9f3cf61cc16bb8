"""The launcher of a run of several processes: torchrun, and around it what a supervisor expects of one trainer.

Its standard input, output and error are the commands, the events and the output of the run, and each rank
inherits them: rank 0 reads and writes events and commands, all print. The launcher ends as the run ended, with
the code of rank 0 or by the signal that killed the first rank to die.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from engine.board import NAME, Board
from engine.child import CRASHED, physical_cores
from engine.processes import set_name
from engine.protocol import Event, Exit, FailureCode, Spec, encode
from engine.ranks import LOST_PEER

LOOK_SECONDS = "0.05"  # between two looks of torchrun at its ranks


def launch(path: Path, spec: Spec) -> NoReturn:
    """Carry out a spec in `spec.processes` processes."""
    set_name(f"train-{path.parent.name}")
    threading.Thread(target=_die_with_supervisor, name="supervisor", daemon=True).start()
    board = Board.make(spec.processes)
    _set_environment(board)
    logs = spec.work_dir / "torchrun"
    shutil.rmtree(logs, ignore_errors=True)
    try:
        codes = _run(path, spec.processes, logs)
    except Exception as error:
        # What goes wrong outside of the ranks: no port, no process to be had.
        traceback.print_exc()
        board.fail(0, _not_started(error))
        codes = []
    shutil.rmtree(logs, ignore_errors=True)
    _end(board, codes)


def _run(path: Path, processes: int, logs: Path) -> list[int]:
    """Under torchrun until all ranks have ended; exit codes of those that ended badly, negative for signals."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    options = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes), "--max-restarts", "0"]
    options += ["--monitor-interval", LOOK_SECONDS, "--log-dir", str(logs), "--module", "engine", str(path)]
    try:
        run(parse_args(options))
    except ChildFailedError as error:
        return [failure.exitcode for failure in error.failures.values()]
    except SignalException as ended:
        return [-ended.sigval]
    return []


def _set_environment(board: Board) -> None:
    """What ranks inherit."""
    os.environ[NAME] = board.address
    os.environ["PYTHONSAFEPATH"] = "1"  # as -P does; torchrun starts its own command line
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(max(1, physical_cores() // board.size))


def _die_with_supervisor() -> None:
    """Rank 0 reads the commands; until it does, and if it can't, their end is noticed here."""
    poll = select.poll()
    poll.register(0, 0)  # a hang-up is always reported
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)  # and the kernel ends each rank


def _end(board: Board, codes: list[int]) -> NoReturn:
    if board.code is not None:
        os._exit(board.code)
    if (failed := board.failure()) is not None:
        rank, failure = failed
        print(f"Process {rank} of {board.size} failed:\n{failure['traceback']}", file=sys.stderr, flush=True)
        # Every rank is dead. The last one that wrote may have been killed in the middle of a line.
        os.write(1, b"\n" + encode(Event.FAILED, **failure))
        os._exit(Exit.FAILED)
    # The first to die tells why; the others ended because of it, or by torchrun's SIGTERM.
    first = min(codes, key=lambda code: (code == LOST_PEER, code == -signal.SIGTERM), default=CRASHED)
    if first >= 0:
        os._exit(first or CRASHED)
    with suppress(OSError):  # SIGKILL has no handler to be taken away
        signal.signal(-first, signal.SIG_DFL)
    os.kill(os.getpid(), -first)
    os._exit(CRASHED)


def _not_started(error: Exception) -> dict[str, str]:
    return {
        "code": FailureCode.CODE_ERROR,
        "message": f"The processes of the run could not be started: {error}",
        "hint": "The log has more. Retry the job, or run it with one device.",
        "traceback": traceback.format_exc(),
    }
