"""What a process forked from the warm server does before it becomes a trainer, the model server or a replica."""

from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from engine.processes import die_with_parent, set_name

if TYPE_CHECKING:
    from engine.serving.orders import Order

CRASHED = 70  # exit code of an error outside of the run itself
_ABOVE = 100  # descriptors are moved above this number, out of the way of their new places


def begin(server: int, body: Callable[[], NoReturn], *, bound: bool = True) -> NoReturn:
    """Become a process of its own: leader of a session and, if `bound`, dead when the server is and first victim for
    memory.

    Never returns into the server's code. The server's sockets stay referenced by frames that never end, so
    no destructor closes a descriptor whose number means something else here.
    """
    code = CRASHED
    try:
        os.setsid()
        if bound:
            die_with_parent()
            if os.getppid() != server:  # it died before the kernel was asked to tell us
                os._exit(CRASHED)
            _prefer_as_victim()
        _forget_signals()
        random.seed()
        body()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else CRASHED
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def train(spec: Path, environment: Mapping[str, str | None], *, control: int, events: int, output: int) -> NoReturn:
    """Carry out a spec, and end with the engine's exit code."""
    set_name(f"train-{spec.parent.name}")  # its work folder bears the number of its job
    control, events = _arrange(output, (control, events))
    if _hung_up(control):  # the supervisor gave up before we began, and may have started another
        os._exit(CRASHED)
    _apply(environment)
    _use_threads(environment, default=physical_cores())
    sys.argv = ["engine", str(spec)]
    from engine.run import start

    leave(start(spec, events, control))


def serve(order: Order, environment: Mapping[str, str | None], link: int) -> NoReturn:
    """Be a replica: load what is ordered and answer what comes through this socket."""
    set_name("trainhub-model")
    (link,) = _arrange(2, (link,))
    _apply(environment)
    _use_threads({}, default=1)
    from engine.serving.replica import serve as answer

    leave(answer(order, link))


def serve_models(path: Path, parent: int, limit: int, settings: Mapping[str, str | None]) -> NoReturn:
    """Be the model server, for as long as `parent` lives; the warm server may end before."""
    _arrange(2, ())
    from engine.serving.server import run

    run(path, parent, limit, settings)


def leave(code: int) -> NoReturn:
    """End without running what the server registered for its own exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads the output any more
    os._exit(code)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _prefer_as_victim() -> None:
    """When memory runs out, a run is what can be taken up again."""
    with suppress(OSError):  # a container may mount /proc read-only
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _arrange(output: int, kept: tuple[int, ...]) -> tuple[int, ...]:
    """Put output on 1 and 2, nothing on 0, `kept` on 3 and up, and close all else. Returns the new numbers."""
    output = fcntl.fcntl(output, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for fd in kept]
    nothing = fcntl.fcntl(os.open(os.devnull, os.O_RDONLY), fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for place, fd in enumerate(moved, 3):
        os.dup2(fd, place, inheritable=False)
    os.closerange(3 + len(kept), os.sysconf("SC_OPEN_MAX"))
    # New streams: those of the server may believe that they write to a file and remember a position in it.
    sys.stdout, sys.stderr = _text_stream(1), _text_stream(2)
    return tuple(range(3, 3 + len(kept)))


def _text_stream(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _hung_up(fd: int) -> bool:
    """Whether nobody holds the other end."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def _apply(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _use_threads(environment: Mapping[str, str | None], default: int) -> None:
    """The number of threads that torch would have chosen in a process of its own."""
    import torch

    chosen = environment.get("OMP_NUM_THREADS") or ""
    torch.set_num_threads(int(chosen) if chosen.isdecimal() and int(chosen) > 0 else default)


def physical_cores() -> int:
    """Cores that this process may use; two threads of one core count once, as torch counts them."""
    cores = set()
    for cpu in os.sched_getaffinity(0):
        try:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            cores.add(siblings.read_text(encoding="ascii"))
        except OSError:
            cores.add(str(cpu))
    return len(cores)
