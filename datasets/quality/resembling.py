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

REMEMBERED = 400  # items whose content is kept at hand while pairs are looked at
SHARED = 0.7  # of the shingles of two texts
BANDS_AGREED = 2  # of 32; texts that share 0.7 of their shingles agree in fewer once in 500 times
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

    def candidates(self, groups: Groups) -> Iterator[tuple[int, int]]:
        """Pairs that may be; of equal items only the first is looked at."""
        import numpy as np

        board = self.board
        first = np.fromiter((groups.of(place) == place for place in range(len(board))), bool, len(board))
        if board.kind == Modality.TEXT:
            chosen = np.flatnonzero(first & (board.compared == 1))
            pairs = alike.by_bands(board.bands[chosen])
            fits = self._share_bands
        else:
            chosen = np.flatnonzero(first & (board.hashes != 0))
            pairs = alike.by_bits(board.hashes[chosen], BITS)
            fits = _any
        for one, other in pairs:
            pair = int(chosen[one]), int(chosen[other])
            if fits(*pair):
                yield pair

    def alike(self, one: int, other: int) -> bool:
        """The closer look."""
        self.beat()
        first, second = self._content(one), self._content(other)
        if first is None or second is None:
            return False
        return CLOSER[self.board.kind](first, second)

    def _share_bands(self, one: int, other: int) -> bool:
        return int((self.board.bands[one] == self.board.bands[other]).sum()) >= BANDS_AGREED

    def _content(self, place: int) -> np.ndarray | None:
        """What two items are compared by; None when it can't be had any more."""
        if place in self._known:
            self._known.move_to_end(place)
            return self._known[place]
        found = self._load(place)
        self._known[place] = found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _load(self, place: int) -> np.ndarray | None:
        import numpy as np

        item = Item.objects.filter(pk=int(self.board.ids[place])).first()
        if item is None:
            return None
        if self.board.kind == Modality.TEXT:
            try:
                return texts.compared(item, self.beat)
            except (NotFoundError, *texts.UNREADABLE):
                return None
        known = prints.known([item], self.board.kind).get(item.pk)
        return np.frombuffer(known.value, np.uint8) if known and known.value else None


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


def _any(one: int, other: int) -> bool:
    return True


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    import numpy as np

    first, second = one.astype(np.float32), other.astype(np.float32)
    first, second = first - first.mean(), second - second.mean()
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else 0.0
