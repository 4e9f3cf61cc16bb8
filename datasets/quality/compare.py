"""What only shows when items are compared: duplicates, leaks, contradictions, repeated answers, doubtful labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from common.errors import NotFoundError
from datasets.models import Item, Modality
from datasets.names import shown
from datasets.quality import alike, films, images, labels, prints, resembling, sounds, texts
from datasets.quality.alike import Groups
from datasets.quality.board import NONE, Board
from datasets.quality.found import Found

if TYPE_CHECKING:
    import numpy as np

PARTS = ("training", "validation", "testing")
OFTEN = 5  # different prompts with one long answer from which on it is a stock phrase
GATHERED = 500
LEARNT_CHARACTERS = 10_000  # of a text, for learning labels

Findings = dict[int, list[Found]]  # by the place of the item


def duplicates(board: Board) -> tuple[Findings, Groups]:
    """Items whose normalised content is that of an earlier one."""
    found: Findings = defaultdict(list)
    groups = alike.exact(_apart(board.digests))
    for place in _followers(groups, len(board)):
        first = int(board.ids[groups.of(place)])
        found[place].append(Found("duplicate", f"The same as {_named(first)}.", cluster=first))
    return found, groups


def near_duplicates(board: Board, groups: Groups, beat: Callable[[], None]) -> Findings:
    """Items that are almost an earlier one; `groups` are joined, too."""
    found: Findings = defaultdict(list)
    looser = Groups(len(board))
    looser.leader = list(groups.leader)
    resembling.Pairs(board, beat).join(looser)
    for place in _followers(looser, len(board)):
        first = looser.of(place)
        if groups.of(place) == place and first != place:
            lowest = int(board.ids[first])
            found[place].append(Found("near_duplicate", f"Almost the same as {_named(lowest)}.", cluster=lowest))
    groups.leader = looser.leader
    return found


def leaks(board: Board, groups: Groups) -> Findings:
    """Items for training that are alike to one for validation or testing; those for validation, to one for testing."""
    found: Findings = defaultdict(list)
    for members in _members(groups, len(board)):
        sets = [int(board.sets[place]) for place in members]
        last = max(sets)
        witness = int(board.ids[members[sets.index(last)]])
        cluster = int(board.ids[members[0]])
        for place, part in zip(members, sets, strict=True):
            if NONE < part < last:
                said = (
                    f"For {PARTS[part]} in {board.parts.said}; {_named(witness)}, which is alike, is for {PARTS[last]}."
                )
                found[place].append(Found("leak", said, cluster=cluster, details={"other": witness}))
    return found


def conflicts(board: Board, groups: Groups) -> Findings:
    """Equal items with different labels."""
    found: Findings = defaultdict(list)
    for members in _members(groups, len(board)):
        given = {int(board.labels[place]) for place in members} - {NONE}
        if len(given) > 1:
            names = ", ".join(f"'{shown(board.labelled[label])}'" for label in sorted(given)[:5])
            for place in members:
                cluster = int(board.ids[members[0]])
                found[place].append(Found("conflict", f"The same content is labelled {names}.", cluster=cluster))
    return found


def answers(board: Board) -> Findings:
    """Prompts that have several answers, and long answers to many prompts."""
    import numpy as np

    found: Findings = defaultdict(list)
    if not board.prompts.any():
        return found
    for members in _members(alike.exact(_apart(board.prompts)), len(board)):
        if len({int(board.answers[place]) for place in members}) > 1:
            cluster = int(board.ids[members[0]])
            for place in members:
                said = f"{len(members):,} items have this prompt, with different completions."
                found[place].append(Found("conflicting_answer", said, cluster=cluster))
    kinds, of, counts = np.unique(board.answers, return_inverse=True, return_counts=True)
    for place in np.flatnonzero((counts[of] >= OFTEN) & (board.long == 1) & (kinds[of] != 0)).tolist():
        said = f"{counts[of[place]]:,} items have this completion."
        found[place].append(Found("repeated_answer", said))
    return found


def mislabelled(board: Board, beat: Callable[[], None]) -> tuple[Findings, dict[str, Any]]:
    """Items whose label a small model, which never saw them, does not believe; and how well it did."""
    found: Findings = defaultdict(list)
    measured = {Modality.IMAGE: images, Modality.AUDIO: sounds, Modality.VIDEO: films}.get(board.kind)

    def gather(places: np.ndarray) -> Any:
        if measured is None:
            return _texts(board, places, beat)
        return measured.features(_values(board, places))

    readable = _labels(board)
    verdict = labels.judge(readable, gather, "text" if measured is None else "numbers", beat)
    for place, suspect in verdict.suspects.items():
        instead = shown(board.labelled[suspect.instead])
        given = shown(board.labelled[int(board.labels[place])])
        said = f"It looks like '{instead}' ({suspect.probability:.0%}) and not like '{given}' ({suspect.own:.0%})."
        details = {"label": board.labelled[suspect.instead], "probability": round(suspect.probability, 3)}
        found[place].append(Found("mislabelled", said, details=details))
    told = {"judged": verdict.judged, "agreement": round(verdict.agreement, 4), "unsure": verdict.unsure}
    return found, told if verdict.judged else {}


def _apart(digests: np.ndarray) -> np.ndarray:
    """The digests, with a different number for each item that has none."""
    import numpy as np

    return np.where(digests == 0, np.arange(1, len(digests) + 1, dtype=np.uint64), digests)


def _followers(groups: Groups, count: int) -> Iterator[int]:
    return (place for place in range(count) if groups.of(place) != place)


def _members(groups: Groups, count: int) -> Iterable[list[int]]:
    """The groups of two or more, each from its lowest place up."""
    found: dict[int, list[int]] = {}
    for place in _followers(groups, count):
        first = groups.of(place)
        found.setdefault(first, [first]).append(place)
    return found.values()


def _named(item: int) -> str:
    return f"item {item}"


def _labels(board: Board) -> np.ndarray:
    """The labels, without those of items that can't be read."""
    import numpy as np

    return np.where(board.digests == 0, NONE, board.labels)


def _texts(board: Board, places: np.ndarray, beat: Callable[[], None]) -> list[str]:
    """What these texts say, in their order."""
    said: dict[int, str] = {}
    for part in _parts(board.ids[places].tolist()):
        for item in Item.objects.filter(pk__in=part):
            try:
                said[item.pk] = texts.text_of(item, beat)[:LEARNT_CHARACTERS]
            except (NotFoundError, *texts.UNREADABLE):
                continue  # deleted or damaged since it was looked at
    return [said.get(pk, "") for pk in board.ids[places].tolist()]


def _values(board: Board, places: np.ndarray) -> np.ndarray:
    """The kept values of these items as rows of bytes; zeros for what is gone."""
    import numpy as np

    rows: dict[int, bytes] = {}
    for part in _parts(board.ids[places].tolist()):
        known = prints.known(Item.objects.filter(pk__in=part), board.kind)
        rows |= {pk: found.value for pk, found in known.items()}
    size = max(map(len, rows.values()), default=0)
    empty = bytes(size)
    return np.frombuffer(
        b"".join(rows.get(pk) or empty for pk in board.ids[places].tolist()), np.uint8
    ).reshape(len(places), size)  # fmt: skip


def _parts(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + GATHERED] for start in range(0, len(ids), GATHERED))
