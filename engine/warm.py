"""`python -P -m engine.warm --socket PATH`: a process with torch loaded, from which runs are forked.

It imports and never computes: a process that has used torch's threads or CUDA can't be forked safely.
"""

from __future__ import annotations

import os

# Read by the libraries when they are loaded. With more than one thread a fork is not safe; what is forked
# chooses its own number (see engine.child).
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ORIGINAL_SETTINGS = {name: os.environ.get(name) for name in THREAD_SETTINGS}
os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))

import argparse  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402

from engine.isolation import block_hub_packages, share_cores  # noqa: E402

ALREADY_SERVED = 3  # exit code: another server answers on this path
PARENT_GONE = 4  # exit code: the process named by --parent is not our parent any more


def main() -> int:
    """Load what trainers need, then serve until SIGTERM or until the parent process ends."""
    block_hub_packages()
    share_cores()
    arguments = _parse()
    if arguments.parent is not None and os.getppid() != arguments.parent:
        return PARENT_GONE
    from engine.forkrequests import AlreadyServed, claim
    from engine.forkserver import Server

    try:
        lock = claim(arguments.socket)
    except AlreadyServed as error:
        print(error, file=sys.stderr)
        return ALREADY_SERVED
    preload()
    return Server(arguments.socket, lock, ORIGINAL_SETTINGS).serve()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m engine.warm", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to answer on")
    parser.add_argument("--parent", type=int, help="process id of the parent; leave at once if it is gone")
    return parser.parse_args()


def preload() -> None:
    """Import everything that a run needs, and shrink to what a fork needs."""
    import torch  # noqa: F401

    from engine import eager
    from engine.catalogue import RECIPES

    eager.install()
    modules = ["engine.run", "engine.device", "engine.child", "engine.serving.server", "engine.serving.replica"]
    modules.append("safetensors.torch")
    for recipe in RECIPES.values():
        modules += [path.rpartition(".")[0] for path in (recipe.config, recipe.trainer, recipe.predictor) if path]
    for module in modules:
        try:
            import_module(module)
        except ImportError:
            # One recipe that can't be loaded must not keep the others from starting; its own job says why.
            traceback.print_exc()
    platform.platform()  # remembered by the library: it asks another program, which no run need do again
    shrink()


def shrink() -> None:
    """Give back memory, and keep the collector away from what was loaded, so that forks go on sharing it."""
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)
    _forget_file_pages()


def _forget_file_pages() -> None:
    """Unmap the pages of libraries that loading touched; the next use maps them again from the page cache.

    Only mappings without a single page of their own: dropping a relocated page would lose its relocations.
    """
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    start = end = 0
    candidate = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            permissions, _, _, inode = rest.split()[:4]
            candidate = "w" not in permissions and inode != "0"
        elif candidate and first == "Anonymous:" and rest.split()[0] == "0":
            libc.madvise(start, end - start, 4)  # MADV_DONTNEED


if __name__ == "__main__":
    sys.exit(main())
