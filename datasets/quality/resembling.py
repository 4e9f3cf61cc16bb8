"""Whether two items are almost the same: which pairs are worth a closer look, and that look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from common.errors import NotFoundError
from datasets.models import Item, Modality
from datasets.quality import alike, films, images, prints, sounds, texts
from datasets.quality.alike import Groups
from datasets.quality.board import Board

if TYPE_CHECKING:
    import numpy as np

REMEMBERED_BYTES = 64 << 20  # of contents that are kept at hand while pairs are looked at
LOOKED_AT = 256  # pairs whose contents are fetched together
SHARED = 0.7  # of the shingles of two texts
AGREED = 69  # of 128 signs; texts that share 0.7 of their shingles agree in fewer once in 20,000 times
BITS = 7  # of 64 in which the hashes of two pictures or recordings may differ
SECOND_BITS = 14  # of the second hash of pictures
CORRELATED = 0.97  # the small grey pictures
SPECTRUM_BITS = 0.2  # share of the 992 bits of two recordings that may differ
FRAME_BITS = 6  # of 64, on average over eight frames of two videos
MOVING = 1.0  # grey values by which the frames of a video differ from their mean, on average: something moves
MOVED_ALIKE = 0.35  # correlation of what moves in two videos: one camera shows the same room in all of its videos
STANDING_ALIKE = 0.98  # of each of the eight frames, where nothing moves


class Pairs:
    """Pairs of one dataset's items that are almost the same."""

    def __init__(self, board: Board, beat: Callable[[], None]) -> None:
        self.board, self.beat = board, beat
        self._known: OrderedDict[int, np.ndarray | None] = OrderedDict()
        self._bytes = 0

    def join(self, groups: Groups) -> None:
        """Join the items that are almost the same; of equal ones only the first is looked at."""
        pairs = self._candidates(groups)
        for start in range(0, len(pairs), LOOKED_AT):
            part = pairs[start : start + LOOKED_AT].tolist()
            self._fetch(
                {groups.of(place) for pair in part for place in pair} | {place for pair in part for place in pair}
            )
            alike.near(groups, ((one, other) for one, other in part), self._alike)

    def _candidates(self, groups: Groups) -> np.ndarray:
        """Pairs that may be, by what is known of all items: rows of two places."""
        import numpy as np

        board = self.board
        first = np.fromiter((groups.of(place) == place for place in range(len(board))), bool, len(board))
        if board.kind == Modality.TEXT:
            chosen = np.flatnonzero(first & (board.compared == 1))
            return chosen[alike.by_bands(board.bands[chosen], board.signs[chosen], AGREED, self.beat)]
        chosen = np.flatnonzero(first & (board.hashes != 0))
        return chosen[alike.by_bits(board.hashes[chosen], BITS, self.beat)]

    def _alike(self, one: int, other: int) -> bool:
        """The closer look."""
        self.beat()
        self._fetch({one, other})
        first, second = self._known[one], self._known[other]
        if first is None or second is None:
            return False
        return CLOSER[self.board.kind](first, second)

    def _fetch(self, places: set[int]) -> None:
        """Have at hand what these items are compared by, with as few queries as will do."""
        missing = sorted(place for place in places if place not in self._known)
        for place in places:
            if place in self._known:
                self._known.move_to_end(place)
        for place, found in zip(missing, self._load(missing), strict=True):
            self._known[place] = found
            self._bytes += _size(found)
        while self._bytes > REMEMBERED_BYTES and len(self._known) > len(places):
            self._bytes -= _size(self._known.popitem(last=False)[1])

    def _load(self, places: list[int]) -> Iterator[np.ndarray | None]:
        """What the items are compared by; None where it can't be had any more."""
        import numpy as np

        ids = self.board.ids[places].tolist()
        items = Item.objects.in_bulk(ids) if ids else {}
        kept = prints.known(items.values(), self.board.kind) if items and self.board.kind != Modality.TEXT else {}
        for pk in ids:
            if self.board.kind == Modality.TEXT:
                yield self._shingles(items.get(pk))
            else:
                yield np.frombuffer(kept[pk].value, np.uint8) if pk in kept and kept[pk].value else None

    def _shingles(self, item: Item | None) -> np.ndarray | None:
        try:
            return texts.compared(item, self.beat) if item else None
        except (NotFoundError, *texts.UNREADABLE):
            return None


def texts_alike(one: np.ndarray, other: np.ndarray) -> bool:
    return texts.jaccard(one, other) >= SHARED


def images_alike(one: np.ndarray, other: np.ndarray) -> bool:
    import numpy as np

    second = np.bitwise_count(one[8:16] ^ other[8:16]).sum()
    return bool(second <= SECOND_BITS and _correlation(one[images.GREY], other[images.GREY]) >= CORRELATED)


def sounds_alike(one: np.ndarray, other: np.ndarray) -> bool:
    import numpy as np

    bits = one[sounds.BITS] ^ other[sounds.BITS]
    return bool(np.bitwise_count(bits).sum() <= SPECTRUM_BITS * 8 * len(bits))


def films_alike(one: np.ndarray, other: np.ndarray) -> bool:
    import numpy as np

    if np.bitwise_count(one[films.HASHES] ^ other[films.HASHES]).sum() > FRAME_BITS * films.STEPS:
        return False
    frames = [value[films.FRAMES].reshape(films.STEPS, -1).astype(np.float32) for value in (one, other)]
    moving = [rows - rows.mean(0) for rows in frames]
    if min(np.abs(rows).mean() for rows in moving) >= MOVING:
        return _correlation(moving[0].ravel(), moving[1].ravel()) >= MOVED_ALIKE
    return min(map(_correlation, *frames)) >= STANDING_ALIKE


CLOSER = {
    Modality.TEXT: texts_alike, Modality.IMAGE: images_alike, Modality.AUDIO: sounds_alike,
    Modality.VIDEO: films_alike,
}  # fmt: skip


def _size(found: np.ndarray | None) -> int:
    return 0 if found is None else found.nbytes


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    import numpy as np

    first, second = one.astype(np.float32), other.astype(np.float32)
    first, second = first - first.mean(), second - second.mean()
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else 0.0
