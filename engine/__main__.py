"""`python -m engine spec.json`: train without the hub; events go to standard output, one a line.

`python -m engine trial spec.json` takes a few steps and says what the run would take.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from pathlib import Path

from engine.catalogue import spec_for_several
from engine.isolation import block_hub_packages, share_cores
from engine.ranks import rank_of_environment
from engine.torchrun import launch


def main() -> int:
    if sys.argv[1:2] == ["trial"]:
        from engine.trial import main as trial

        return trial(sys.argv[2:])
    arguments = _parse()
    rank = rank_of_environment()
    block_hub_packages()
    share_cores()
    if rank is None and (spec := spec_for_several(arguments.spec)) is not None:
        _place_streams(arguments)
        launch(arguments.spec.absolute(), spec)
    from engine.run import start

    events = arguments.events_fd
    if events is None:
        # Standard output belongs to the events; what libraries print goes where errors go.
        events = os.dup(1)
        os.dup2(2, 1)
    control = None if arguments.no_control else arguments.control_fd
    if control is None and not arguments.no_control and _is_stream(0):
        control = 0
    if rank is not None:
        rank.begin()
    code = start(arguments.spec, events, control, rank)
    if rank is not None:
        rank.leave(code)
    return code


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("spec", type=Path, help="JSON file, see engine.protocol.Spec")
    parser.add_argument("--events-fd", type=int, help="file descriptor for events (default: standard output)")
    parser.add_argument(
        "--control-fd",
        type=int,
        help="file descriptor to read commands from; its end kills the run (default: standard input when "
        "it is a pipe or socket)",
    )
    parser.add_argument("--no-control", action="store_true", help="take no commands, whatever standard input is")
    return parser.parse_args()


def _place_streams(arguments: argparse.Namespace) -> None:
    """Commands on 0, events on 1: the only descriptors that torchrun lets its processes have, beside 2."""
    control = arguments.control_fd
    if control is None and (arguments.no_control or not _is_stream(0)):
        control = os.open(os.devnull, os.O_RDONLY)
    for place, fd in ((0, control), (1, arguments.events_fd)):
        if fd is not None and fd != place:
            os.dup2(fd, place)
            os.close(fd)


def _is_stream(fd: int) -> bool:
    """Whether a supervisor may hold the other end; a terminal, a file or nothing is none."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


if __name__ == "__main__":
    sys.exit(main())
