"""Keeps torch's compiler out of processes that never compile.

`torch.optim` imports `torch._dynamo` in its first call only to mark itself as 'do not compile'. That import
costs a second and about 70 MiB in every trainer. A placeholder that answers the two calls made by the
optimizers takes its place; whoever asks it for anything else gets the real module.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

NAME = "torch._dynamo"


class _Placeholder(types.ModuleType):
    """Stands for `torch._dynamo` until somebody needs more of it than `disable` and `graph_break`."""

    def disable(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return fn

    def graph_break(self, msg: str = "") -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspect and importlib probe every module for these
            raise AttributeError(name)
        return getattr(use_compiler(), name)


def install() -> None:
    """Put the placeholder in place; does nothing when the compiler is loaded. Call after `import torch`."""
    if NAME not in sys.modules:
        placeholder = _Placeholder(NAME)
        sys.modules[NAME] = placeholder
        sys.modules["torch"]._dynamo = placeholder  # type: ignore[attr-defined]


def use_compiler() -> types.ModuleType:
    """Load the real `torch._dynamo`; call before `torch.compile` or `torch.export`."""
    if isinstance(sys.modules.get(NAME), _Placeholder):
        del sys.modules[NAME]
    real = importlib.import_module(NAME)
    sys.modules["torch"]._dynamo = real  # type: ignore[attr-defined]
    return real
