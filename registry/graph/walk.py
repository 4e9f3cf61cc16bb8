"""The lineage of a version as a graph: everything that it came from and everything that came of it, over generations.

Rooms know their own part: each registers a `Part`, which is asked for what led to some nodes, and for what they led to.
Going up only what led to the version is followed, going down only what it led to; what else was trained on the same
data is no part of its story.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from registry.models import ModelVersion

User = AbstractBaseUser | AnonymousUser
DEEPEST = 20  # generations either way
MOST = 120  # nodes in all
MOST_EACH = 25  # new nodes that one node leads to


@dataclass(frozen=True)
class Node:
    """A thing of the story. `kind` and `id` tell it from all others; `url` is empty where there is no page of it."""

    kind: str
    id: int | str
    name: str = field(compare=False)
    detail: str = field(default="", compare=False)
    url: str = field(default="", compare=False)
    standing: str = field(default="", compare=False)
    brief: str = field(default="", compare=False)  # what its box says, where its name alone tells too little

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class Edge:
    """`source` led to `target`, in a word that is read between them: "data of", "base of"."""

    source: Node
    target: Node
    word: str


Step = Callable[[Sequence[Node], User], Iterable[Edge]]
Doors = Callable[[Sequence[Node], User], Iterable[Node]]


def all_open(nodes: Sequence[Node], user: User) -> Iterable[Node]:
    return ()


@dataclass(frozen=True)
class Part:
    """What a room knows: `origins` are edges that end in some of the nodes, `offspring` edges that begin in them.
    Both give only what the person may see, with a fixed number of queries for any number of nodes.

    `closed` are those of the nodes that may be known of and whose page the person can't open.
    """

    origins: Step
    offspring: Step
    closed: Doors = all_open


@dataclass
class Graph:
    """`left_out` counts nodes that were found and are not in it, since it would be too large."""

    here: Node
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    up: set[str] = field(default_factory=set)  # keys of what led to it
    too_many: set[str] = field(default_factory=set)  # keys of what was passed over at least once
    left_out: int = 0

    def shown(self) -> dict[str, Any]:
        """As the API gives it."""
        nodes = [
            {
                "key": node.key, "kind": node.kind, "id": node.id, "name": node.name, "detail": node.detail,
                "url": node.url, "standing": node.standing,
                "side": "here" if node == self.here else "up" if node.key in self.up else "down",
            }
            for node in self.nodes
        ]  # fmt: skip
        edges = [{"source": edge.source.key, "target": edge.target.key, "word": edge.word} for edge in self.edges]
        return {"nodes": nodes, "edges": edges, "left_out": self.left_out}


_parts: list[Part] = []


def register_part(part: Part) -> None:
    if part not in _parts:
        _parts.append(part)


def graph(version: ModelVersion, user: User) -> Graph:
    """The version's story, as far as `user` may see it."""
    from registry.graph.parts import version_node

    here = version_node(version)
    found = Graph(here, [here])
    known = {here.key}
    for upward in (True, False):
        frontier = [here]
        for _ in range(DEEPEST):
            frontier = _generation(found, known, frontier, user, upward)
        found.left_out += len(frontier)
    found.left_out += len(found.too_many - known)  # each once, and not what stands in it by another way
    _close(found, user)
    return found


def _close(found: Graph, user: User) -> None:
    """Take the links away that would lead this person to a page which does not exist for them."""
    closed = {node.key for part in _parts for node in part.closed(found.nodes, user)}

    def seen(node: Node) -> Node:
        return replace(node, url="") if node.key in closed else node

    found.nodes = [seen(node) for node in found.nodes]
    found.edges = [Edge(seen(edge.source), seen(edge.target), edge.word) for edge in found.edges]


def _generation(found: Graph, known: set[str], nodes: list[Node], user: User, upward: bool) -> list[Node]:
    """The next generation, put into the graph."""
    if not nodes:
        return []
    edges = [edge for part in _parts for edge in (part.origins if upward else part.offspring)(nodes, user)]
    fresh: list[Node] = []
    count: dict[str, int] = {}
    for edge in edges:
        near, far = (edge.target, edge.source) if upward else (edge.source, edge.target)
        if near.key not in known or edge in found.edges:
            continue
        if far.key not in known:
            count[near.key] = count.get(near.key, 0) + 1
            if count[near.key] > MOST_EACH or len(found.nodes) >= MOST:
                found.too_many.add(far.key)
                continue
            known.add(far.key)
            found.nodes.append(far)
            fresh.append(far)
            if upward:
                found.up.add(far.key)
        found.edges.append(edge)
    return fresh
