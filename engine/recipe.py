"""What a recipe says of itself. Light: listing recipes, drawing their forms and checking settings loads no torch.

A recipe is a package whose `RECIPE` is one of these: a folder in `engine/recipes` that `engine.catalogue` lists, or a
package of anyone's that names its RECIPE as an entry point of the group `trainhub.recipes`. The dotted paths are
imported on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Modality = Literal["text", "image", "audio", "video", "table"]
# What a folder to start from holds: a language model, one that goes on writing, a network for pictures, or a pipeline
# that makes them.
BaseHolds = Literal["language", "writer", "pictures", "pipeline"]
# What a predictor answers with: a text, the likeliest labels, a picture, a value for each row, a forecast of a series,
# or a score for each point of one.
Output = Literal["text", "labels", "image", "values", "forecast", "anomalies"]


@dataclass(frozen=True)
class Recipe:
    """One kind of training."""

    name: str
    title: str
    summary: str
    modality: Modality | None  # what its dataset must hold; None: it needs no dataset
    config: str  # dotted path of its RecipeConfig
    trainer: str  # dotted path of `build(context) -> Task`
    predictor: str | None  # dotted path of its Predictor; None: its artifact can't be tried
    output: Output | None  # what its predictor answers with
    simulator: bool = False  # it trains nothing; pages label it so
    labelled: bool = False  # its items must have a label each
    bases: bool = False  # it can start from a model that is there already: a version, or a folder
    base_holds: BaseHolds | None = None  # what a folder must hold that it starts from
    merger: str | None = None  # dotted path of `merge(folder, facts) -> files`, which joins an adapter with its base
    exporter: str | None = None  # dotted path of `network(folder) -> engine.export.Network`, for ONNX
    onnx: str = ""  # in a sentence: what its networks take and give, or why there is none
    libraries: tuple[str, ...] = ()  # installed packages that its results depend on: their versions are noted
    makes: Literal["model", "examples"] = "model"  # what a run leaves: a version, or rows that it told of
    processes: bool = True  # several processes can share one run
    own_parts: bool = False  # it divides the rows of tables itself, whatever parts a version's files are in
    samples_on_the_way: bool = False  # it looks at a part of the validation part until the end, then at all of it
    goal: str = "validation/loss"  # the metric that tells a good run; what a search improves
    higher_is_better: bool = False  # of `goal`
    # Quantities of its metrics that tell most about a result, best first: pages begin with them. () leaves it to them.
    tells: tuple[str, ...] = ()

    @property
    def why_no_onnx(self) -> str:
        """Why no result of this recipe can be exported as ONNX; '' when they can."""
        if self.exporter:
            return ""
        return f"{self.title} can't be exported as ONNX. {self.onnx or 'Its recipe has no exporter.'}"

    @property
    def takes(self) -> Literal["text", "rows", "file"]:
        """What its predictor is given, one an input: a text, the rows of a table, or the bytes of a file."""
        if self.modality == "table":
            return "rows"
        return "text" if self.modality in ("text", None) or self.output == "image" else "file"
