"""What the configurations of all recipes share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["auto", "float32", "bfloat16", "float16"]


class RecipeConfig(BaseModel):
    """A recipe's settings. Every field works as it is; field order is the order of the form."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


def setting(default: Any, title: str, description: str, group: str = "Training", **rules: Any) -> Any:
    """A field with what a form needs: title, a description for people, and the group it stands in."""
    return Field(default, title=title, description=description, json_schema_extra={"group": group}, **rules)


def precision_setting() -> Any:
    """The number format of the arithmetic, the same choice in all recipes that train."""
    return setting(
        "auto",
        "Precision",
        "Number format of the arithmetic. Auto: mixed precision on a GPU, float32 on a CPU. "
        "Change it only when mixed precision makes a run unstable (float32) or to save memory.",
        "Advanced",
    )
