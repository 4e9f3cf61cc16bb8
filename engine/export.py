"""`python -P -m engine.export <artifact> <out>`: a result as an ONNX network, checked against the model's own answers.

Prints one JSON object: `files` (name, sha256, bytes), `difference` (the largest from the model's own outputs) and
`environment`, or `code`, `message` and `hint` of what stopped it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.catalogue import load, recipe
from engine.files import sha256, write_folder
from engine.processes import die_with_parent, set_name
from engine.protocol import EngineError, FailureCode

MODEL, FACTS = "model.onnx", "onnx.json"
OPSETS = {"ai.onnx": 17, "ai.onnx.ml": 3}  # the second one where there are trees
MOST_DIFFERENT = 1e-4
LARGEST = 2_000_000_000  # bytes: a single file of ONNX holds no more
AS_A_FOLDER = "Export it as a folder."


@dataclass(frozen=True)
class Network:
    """What a recipe's exporter gives: a module, and what there is to know of it.

    `facts` has `inputs` and `outputs`, each a list of {"name", "shape", "type", …}; an axis with a name is of any size.
    `example(size)` gives the inputs with that axis so long. `own` is what the model itself answers to these (left out:
    the module's answer), and `unit` what a difference counts in: 1 for probabilities, a deviation for values.
    `files` lie beside the network: what inputs are prepared with."""

    module: Any
    example: Callable[[int], tuple[Any, ...]]
    facts: dict[str, Any]
    own: Callable[..., Sequence[Any]] | None = None
    unit: Callable[..., Any] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    sizes: tuple[int, ...] = (1, 3)  # that are compared: others than it is traced with
    trees: bool = False  # it has operations of trees

    def names(self, side: str) -> list[str]:
        """Of the `inputs` or the `outputs`, in their order."""
        return [one["name"] for one in self.facts[side]]


def exported(folder: Path) -> tuple[dict[str, bytes], float]:
    """The files, and how far the network's answers are from the model's own at most. EngineError when the recipe can't
    be exported, or the answers are others."""
    kind = _kind(folder)
    found: Network = load(kind)(folder)
    data, opsets = _traced(found)
    difference = _compared(found, data)
    if not difference <= MOST_DIFFERENT:
        raise EngineError(
            FailureCode.CODE_ERROR,
            f"The exported network answers otherwise than the model: by {difference:.2g}, and {MOST_DIFFERENT:g} is "
            "allowed.",
            "Use the model as it is; this is an error in the exporter.",
        )
    facts = found.facts | {"opsets": opsets, "difference": difference, "tolerance": MOST_DIFFERENT}
    about = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False).encode()
    return {MODEL: data, FACTS: about, **found.files}, difference


def write_exported(folder: Path, out: Path) -> dict[str, Any]:
    """Export and write; what was made, as `main` prints it."""
    import torch

    files, difference = exported(folder)
    write_folder(out, files)
    described = [{"name": name, "sha256": sha256(data), "bytes": len(data)} for name, data in files.items()]
    environment = {"python": platform.python_version(), "torch": torch.__version__}
    return {"files": described, "difference": difference, "environment": environment}


def _kind(folder: Path) -> str:
    try:
        kind = recipe(json.loads((folder / "config.json").read_bytes())["recipe"])
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"'{folder}' holds no result: {error}.", "Name the folder of an artifact."
        ) from error
    if kind.exporter is None:
        raise EngineError(FailureCode.BAD_CONFIG, kind.why_no_onnx, AS_A_FOLDER)
    return kind.exporter


def _traced(found: Network) -> tuple[bytes, dict[str, int]]:
    """The file, and the sets of operations that it needs."""
    import onnx
    import torch

    into = io.BytesIO()
    sides = [*found.facts["inputs"], *found.facts["outputs"]]
    open_axes = {
        one["name"]: {place: axis for place, axis in enumerate(one["shape"]) if isinstance(axis, str)} for one in sides
    }
    more = {"ai.onnx.ml": OPSETS["ai.onnx.ml"]} if found.trees else None
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                found.module, found.example(max(found.sizes) - 1), into, dynamo=False, opset_version=OPSETS["ai.onnx"],
                input_names=found.names("inputs"), output_names=found.names("outputs"), dynamic_axes=open_axes,
                custom_opsets=more,
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(
            FailureCode.BAD_CONFIG, f"This network can't be written as ONNX: {reason:.300}", AS_A_FOLDER
        ) from error
    data = into.getvalue()
    if len(data) > LARGEST:
        raise EngineError(FailureCode.BAD_CONFIG, "The network is too large for one ONNX file.", AS_A_FOLDER)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    return data, {one.domain or "ai.onnx": one.version for one in model.opset_import}


def _compared(found: Network, data: bytes) -> float:
    """The largest difference between the exported network's answers and the model's own."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    largest = 0.0
    for size in found.sizes:
        given = found.example(size)
        with torch.no_grad():
            own = _several(found.own(*given) if found.own else found.module(*given))
        inputs = {name: tensor.numpy() for name, tensor in zip(found.names("inputs"), given, strict=True)}
        for one, other in zip(own, session.run(found.names("outputs"), inputs), strict=True):
            mine, theirs = torch.as_tensor(one).double(), torch.from_numpy(other).double()
            if mine.shape != theirs.shape or not torch.isfinite(theirs).all():
                return float("inf")
            unit = found.unit(*given) if found.unit else 1.0
            largest = max(largest, float(((mine - theirs) / unit).abs().max()))
    return largest


def _several(answer: Any) -> Sequence[Any]:
    return answer if isinstance(answer, list | tuple) else [answer]


def main() -> int:
    """Export and write; 1 when it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m engine.export", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of the result")
    parser.add_argument("out", type=Path, help="folder that is made, or replaced as a whole")
    parser.add_argument("--parent", type=int, help="process id of who started it; it ends when that one does")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with_parent()
        if os.getppid() != arguments.parent:  # it died before the kernel was asked to tell us
            return 1
        set_name("export-model")
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes where errors go
    from engine.run import explain

    try:
        said, code = write_exported(arguments.artifact, arguments.out), 0
    except Exception as error:
        told = explain(error)
        print(f"{told.message} {told.hint}", file=sys.stderr)
        said, code = {"code": told.code, "message": told.message, "hint": told.hint}, 1
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write(json.dumps(said) + "\n")
    return code


if __name__ == "__main__":
    from engine.isolation import block_hub_packages

    block_hub_packages()
    sys.exit(main())
