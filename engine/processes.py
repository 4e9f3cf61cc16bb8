"""What Linux knows about processes: who is alive, who belongs to a group, who died of memory.

A process id is reused; (process id, start time) on one boot is not. Nothing here imports torch.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/<pid>/stat that we use."""

    state: str
    parent: int
    group: int
    session: int
    start_time: int  # clock ticks since boot

    @property
    def dead(self) -> bool:
        """A zombie holds no memory and runs nothing: it only waits to be reaped."""
        return self.state in "ZX"


@dataclass(frozen=True)
class Ended:
    """How a process ended: exactly one of `code` and `signal` is set."""

    code: int | None = None
    signal: int | None = None
    oom: bool = False  # the kernel killed it for want of memory
    lost_server: bool = False  # the warm server went away and took the process with it


def stat_of(pid: int) -> Stat | None:
    """What the kernel says about a process, None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def start_time_of(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is no such process."""
    stat = stat_of(pid)
    return stat.start_time if stat else None


def process_alive(pid: int, start_time: int) -> bool:
    """Whether this very process runs: a zombie, or another one that got its number, does not count."""
    stat = stat_of(pid)
    return stat is not None and stat.start_time == start_time and not stat.dead


def boot_id() -> str:
    """Identifies this boot of this machine; start times of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def group_members(pid: int, start_time: int) -> list[int]:
    """The living processes of the session or group that this process leads, itself included, and their
    descendants: torchrun gives each process that it starts a session of its own.

    The leader may be gone: its number is not given away while its group has members. Empty when the number
    belongs to another process by now.
    """
    leader = stat_of(pid)
    if leader is not None and leader.start_time != start_time:
        return []
    younger = {}
    for name in os.listdir("/proc"):
        stat = stat_of(int(name)) if name.isdigit() else None
        if stat is not None and not stat.dead and stat.start_time >= start_time:
            younger[int(name)] = stat
    members = {n for n, stat in younger.items() if n == pid or pid in (stat.group, stat.session)}
    while found := {n for n, stat in younger.items() if n not in members and stat.parent in members}:
        members |= found
    return sorted(members)


def kill_group(pid: int, start_time: int, timeout: float = 5.0) -> bool:
    """SIGKILL a process and all of its group, and wait until they are gone.

    Returns False when some are left after `timeout` seconds (stuck in the kernel). Never touches a process
    that got the number later.
    """
    deadline = time.monotonic() + timeout
    while members := group_members(pid, start_time):
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def kill_leftover(pid: int, start_time: int) -> bool:
    """End what a dead supervisor left behind; True when there was something and it is gone now."""
    return bool(group_members(pid, start_time)) and kill_group(pid, start_time)


def _prctl(option: int, argument: int | bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this signal when the thread that forked this process ends."""
    _prctl(PR_SET_PDEATHSIG, number)


def set_name(name: str) -> None:
    """Name this process for `ps` and `top` (15 characters)."""
    _prctl(PR_SET_NAME, name.encode()[:15])


def _oom_counter() -> tuple[Path, str]:
    """The file that counts out-of-memory kills around this process, and the name of its counter."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            base, file = Path("/sys/fs/cgroup/memory"), "memory.oom_control"
        elif not controllers:
            base, file = Path("/sys/fs/cgroup"), "memory.events"
        else:
            continue
        # In a container the path is that of the host, and the mount shows the group itself.
        for folder in (base / path.lstrip("/"), base):
            if _read_counter(folder / file, "oom_kill") is not None:
                return folder / file, "oom_kill"
    return Path("/proc/vmstat"), "oom_kill"


def _read_counter(file: Path, name: str) -> int | None:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)


class OomWatch:
    """Tells an out-of-memory kill from any other SIGKILL.

    The exit status of both is the same, but the kernel counts the former. Call `look` now and then while
    processes live, and `claim` when one died of SIGKILL: each counted kill explains one death.
    """

    INTERVAL = 1.0  # seconds between two remembered counts

    def __init__(self, file: Path | None = None) -> None:
        self.file, self.name = (file, "oom_kill") if file else _oom_counter()
        self.before = self.latest = self._count()
        self.looked = time.monotonic()

    def _count(self) -> int:
        return _read_counter(self.file, self.name) or 0

    def look(self) -> None:
        """Remember the count, so that a kill elsewhere long ago does not explain a death now."""
        now = time.monotonic()
        if now - self.looked >= self.INTERVAL:
            self.before, self.latest, self.looked = self.latest, self._count(), now

    def claim(self) -> bool:
        """Whether the kernel killed a process for memory in the last moments that no death explains yet."""
        if self._count() <= self.before:
            return False
        self.before += 1
        self.latest = max(self.latest, self.before)
        return True
