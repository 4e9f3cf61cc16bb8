"""Where the boxes and arrows of a lineage graph lie: layers from left to right, each thing after all it came from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from registry.graph.walk import Edge, Graph, Node

WIDTH, HEIGHT = 168, 54
GAP_X, GAP_Y = 36, 14
EDGE = 8
ROOM_OF_NAME, ROOM_OF_LABEL = 11.0, 10.4  # of a box's two lines, in widths of their letters' own size
NARROW, WIDE = set("fijlrt.,:;'|!()[] -"), set("mwMW@%…–—")
ICONS = {
    "model_version": "box", "job": "bolt", "dataset_version": "database", "dataset": "folder", "template": "text",
    "session": "history", "name": "flag", "predictions": "spark", "experiment": "chart", "retraining": "refresh",
}  # fmt: skip
WORDS = {
    "model_version": "Version", "job": "Job", "dataset_version": "Frozen data", "dataset": "Data",
    "template": "Template", "session": "Record", "name": "Name", "predictions": "Answers", "experiment": "Experiment",
    "retraining": "Retraining",
}  # fmt: skip


@dataclass(frozen=True)
class Box:
    node: Node
    x: int
    y: int
    icon: str
    word: str
    label: str  # its first line
    title: str  # its second
    here: bool


@dataclass(frozen=True)
class Arrow:
    path: str
    title: str


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    arrows: list[Arrow]


@dataclass(frozen=True)
class Branch:
    """A node of the nested list, with the word that leads to it. `again`: it stands further up already."""

    node: Node
    word: str
    kind: str
    icon: str
    again: bool
    branches: list[Branch]


def draw(found: Graph) -> Drawing:
    """Boxes and arrows, in pixels."""
    places = _places(found)
    boxes = [
        Box(node, *places[node.key], ICONS.get(node.kind, "circle"), WORDS.get(node.kind, node.kind.capitalize()),
            shortened(_label(node), ROOM_OF_LABEL), shortened(node.brief or node.name, ROOM_OF_NAME),
            node == found.here)
        for node in sorted(found.nodes, key=lambda node: places[node.key])
    ]  # fmt: skip
    width = max(x for x, _ in places.values()) + WIDTH + EDGE
    height = max(y for _, y in places.values()) + HEIGHT + EDGE
    return Drawing(width, height, boxes, [_arrow(edge, places) for edge in found.edges])


def tree(found: Graph, upward: bool) -> list[Branch]:
    """What led to the version, or what it led to, as a nested list."""
    seen: set[str] = {found.here.key}

    def branches(node: Node) -> list[Branch]:
        made = []
        for edge in found.edges:
            near, far = (edge.target, edge.source) if upward else (edge.source, edge.target)
            if near == node:
                again = far.key in seen
                seen.add(far.key)
                word, icon = WORDS.get(far.kind, far.kind), ICONS.get(far.kind, "circle")
                made.append(Branch(far, edge.word, word, icon, again, [] if again else branches(far)))
        return made

    return branches(found.here)


def _places(found: Graph) -> dict[str, tuple[int, int]]:
    layers: dict[int, list[str]] = {}
    for key, layer in _layers(found).items():
        layers.setdefault(layer, []).append(key)
    row: dict[str, float] = {}
    for layer in sorted(layers):
        keys = layers[layer]
        near = {key: [row[e.source.key] for e in found.edges if e.target.key == key and e.source.key in row]
                for key in keys}  # fmt: skip
        keys.sort(key=lambda key: sum(near[key]) / len(near[key]) if near[key] else 0.0)
        row |= {key: place for place, key in enumerate(keys)}
    tallest = max(map(len, layers.values()))
    return {
        key: (EDGE + layer * (WIDTH + GAP_X), EDGE + round((place + (tallest - len(keys)) / 2) * (HEIGHT + GAP_Y)))
        for layer, keys in layers.items()
        for place, key in enumerate(keys)
    }


def _layers(found: Graph) -> dict[str, int]:
    """Each node one layer after the last of those that led to it. Edges that close a circle move nothing."""
    layer = {node.key: 0 for node in found.nodes}
    for _ in range(len(found.nodes)):
        moved = False
        for edge in found.edges:
            if layer[edge.target.key] <= layer[edge.source.key] < len(found.nodes):
                layer[edge.target.key] = layer[edge.source.key] + 1
                moved = True
        if not moved:
            break
    return _pulled(found, layer)


def _pulled(found: Graph, layer: dict[str, int]) -> dict[str, int]:
    """Beginnings stand right before what they led to, not far to the left of it."""
    ends = {edge.target.key for edge in found.edges}
    for node in found.nodes:
        after = [layer[edge.target.key] for edge in found.edges if edge.source == node]
        if node.key not in ends and after:
            layer[node.key] = min(after) - 1
    return layer


def _arrow(edge: Edge, places: dict[str, tuple[int, int]]) -> Arrow:
    (x1, y1), (x2, y2) = places[edge.source.key], places[edge.target.key]
    start, end = (x1 + WIDTH, y1 + HEIGHT // 2), (x2 - 5, y2 + HEIGHT // 2)
    bend = max(18, (end[0] - start[0]) // 2)
    path = f"M{start[0]} {start[1]}C{start[0] + bend} {start[1]} {end[0] - bend} {end[1]} {end[0]} {end[1]}"
    return Arrow(path, f"{edge.source.name} — {edge.word} — {edge.target.name}")


def _label(node: Node) -> str:
    if node.brief:
        return node.name
    word = WORDS.get(node.kind, node.kind.capitalize())
    if node.standing not in ("", "ready"):
        return f"{word}, {node.standing}"
    return f"{word} · {node.detail}" if node.detail else word


def shortened(text: str, room: float) -> str:
    """As much of a text as surely fits, by the widths of its letters; the whole stands in the box's title."""
    widths = list(accumulate(map(_width, text)))
    if not text or widths[-1] <= room:
        return text
    kept = sum(width <= room - _width("…") for width in widths)
    return f"{text[:kept].rstrip()}…"


def _width(letter: str) -> float:
    """Of the widest of usual fonts, as a share of their size."""
    if letter in NARROW:
        return 0.36
    if letter in WIDE or ord(letter) > 0x2E80:
        return 1.0
    return 0.72 if letter.isupper() else 0.58
