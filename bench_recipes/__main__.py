"""Prints what the recipes reach: python -m bench_recipes [name …]"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bench_recipes import Row


def main(names: list[str]) -> None:
    print("| data | metric | reached | known | aim | seconds | settings | how it was split |")
    print("|---|---|---:|---:|---:|---:|---|---|", flush=True)
    for name in names or _all():
        for row in import_module(f"bench_recipes.{name}").run():
            print(_line(row), flush=True)


def _all() -> list[str]:
    """The modules that make rows; others help them."""
    names = [module.name for module in iter_modules([str(Path(__file__).parent)]) if module.name != "__main__"]
    return [name for name in names if hasattr(import_module(f"bench_recipes.{name}"), "run")]


def _line(row: Row) -> str:
    figures = f"{row.value:.4g} | {row.known} | {row.aim} | {row.seconds:.0f}"
    return f"| {row.name} | {row.metric} | {figures} | {row.settings} | {row.honest} |"


if __name__ == "__main__":
    main(sys.argv[1:])
