"""A campaign in namespaces of its own: what it mounts nobody else sees, and whatever it leaves dies with it.

That needs root. Without it the campaign runs as it is, and the kinds of fault that need a small disk or a second
host are skipped.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1


def isolated(body: Callable[[], int]) -> int:
    """Run `body` in a process of its own, isolated where the system allows it; its exit code."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS | CLONE_NEWPID) != 0:
        return body()
    first = os.fork()
    if first == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os._exit(_first_process(body))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.kill(first, signal.SIGKILL))
    _, status = os.waitpid(first, 0)
    return os.waitstatus_to_exitcode(status)


def _first_process(body: Callable[[], int]) -> int:
    """Process 1 of the namespace: it reaps what others orphan, and with its end everything in there ends."""
    for command in (["mount", "--make-rprivate", "/"], ["mount", "-t", "proc", "proc", "/proc"]):
        subprocess.run(command, check=True)
    campaign = os.fork()
    if campaign == 0:
        code = 1
        try:
            code = body()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    while True:
        ended, status = os.wait()
        if ended == campaign:
            return abs(os.waitstatus_to_exitcode(status))
