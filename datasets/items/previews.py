"""Small pictures of items: thumbnails, a video's first frame, a recording's waveform.

Made in the background after an import, and when someone looks at one that is not there. They lie in a cache that can
be deleted at any time: `TRAINHUB_HOME/cache/previews/<2>/<sha256>.<kind>`. The web process makes small pictures of
pictures itself; what takes a video or audio decoder, or HEIC's, is left to a worker, and there to the sandbox.
"""

from __future__ import annotations

import base64
import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models.functions import Now
from PIL import Image, UnidentifiedImageError

from common.background import enqueue
from common.errors import NotFoundError
from common.files import store
from common.push import publish
from datasets import formats, limits
from datasets.formats.sandbox import Sandbox
from datasets.models import Dataset, Item
from datasets.refused import Refused

WEBP, SVG, NONE = "webp", "svg", "none"  # "none": it was tried, and there is nothing to be shown
AHEAD = 500  # items of an import that are made before anyone looks
SLICE_SECONDS = 5.0  # of one background task: imports wait for it
TOLD_SECONDS = 2.0  # between two messages to the page
ASKED_SECONDS = 60.0  # after which a preview that did not come is asked for again
WEB_WAIT = 2.0  # seconds that a request waits for its turn to decode a picture
PRUNE_SECONDS = 600.0
MAX_BYTES = int(os.environ.get("TRAINHUB_MAX_PREVIEW_BYTES", str(2 << 30)))
_TURN = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class Preview:
    """What is there to be shown of an item: its bytes and their kind."""

    kind: str
    data: bytes


def kind_of(item: Item) -> str:
    """The kind of an item's preview; '' for what is shown without one (texts, rows, tables)."""
    family = item.media_type.partition("/")[0]
    return {"image": WEBP, "video": WEBP, "audio": SVG}.get(family, "")


def ready(item: Item) -> bool:
    """Whether the preview is in the cache."""
    return any(_path(item.sha256, kind).exists() for kind in (kind_of(item), NONE) if kind)


def cached(item: Item) -> Preview | None:
    """The preview from the cache; None when it has to be made."""
    for kind in (kind_of(item), NONE):
        with suppress(FileNotFoundError):
            return Preview(kind, _path(item.sha256, kind).read_bytes())
    return None


def wanted(item: Item) -> Preview | None:
    """The preview for someone who looks: from the cache, or made now when that is quick.

    None when a worker was asked for it; the page is told when it is there. Never decodes sound or video here.
    """
    if (found := cached(item)) is not None:
        return found
    if _is_quick(item) and _TURN.acquire(timeout=WEB_WAIT):
        try:
            return _made(item, None)
        finally:
            _TURN.release()
    _ask(item)
    return None


def make_for_import(dataset_id: int, after: int = 0, left: int = AHEAD) -> None:
    """Make the newest items' previews, a slice at a time, so that other background work gets its turn."""
    until = time.monotonic() + SLICE_SECONDS
    told = time.monotonic()
    items = Item.objects.filter(dataset=dataset_id, dataset__modality__in=["image", "audio", "video"]).order_by("-pk")
    if after:
        items = items.filter(pk__lt=after)
    made = 0
    with Sandbox() as sandbox:
        for item in items[:left]:
            left -= 1
            if kind_of(item) and not ready(item):
                _made(item, sandbox)
                made += 1
            if made and time.monotonic() - told > TOLD_SECONDS:
                _tell(dataset_id)
                made, told = 0, time.monotonic()
            if left and time.monotonic() > until:
                enqueue("datasets.tasks.make_previews", dataset_id, item.pk, left)
                break
    if made:
        _tell(dataset_id)
    prune()


def make(item_id: int) -> None:
    """Make one item's preview in the background and tell its page."""
    item = Item.objects.filter(pk=item_id).first()
    if item is None or not kind_of(item):
        return
    with Sandbox() as sandbox:
        if not ready(item):
            _made(item, sandbox)
    _asked(item.sha256).unlink(missing_ok=True)
    _tell(item.dataset_id)
    prune()


def prune(limit: int | None = None) -> int:
    """Keep the cache below its size: those made longest ago go first. Returns how many went. Looks now and then."""
    root = _root()
    stamp = root / ".pruned"
    with suppress(FileNotFoundError):
        if limit is None and time.time() - stamp.stat().st_mtime < PRUNE_SECONDS:
            return 0
    root.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    found = []
    for path in root.glob("??/*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    most = MAX_BYTES if limit is None else limit
    size = sum(one[1] for one in found)
    gone = 0
    for _, bytes_, path in sorted(found):
        if size <= most:
            break
        path.unlink(missing_ok=True)
        size -= bytes_
        gone += 1
    return gone


def _made(item: Item, sandbox: Sandbox | None) -> Preview:
    """Make and keep it; of kind "none" when nothing can be shown."""
    try:
        made = Preview(kind_of(item), _drawn(item, sandbox))
    except (Refused, UnidentifiedImageError, Image.DecompressionBombError, NotFoundError, OSError, ValueError):
        made = Preview(NONE, b"")
    _write(_path(item.sha256, made.kind), made.data)
    return made


def _drawn(item: Item, sandbox: Sandbox | None) -> bytes:
    if sandbox is None or _is_quick(item):
        with store().open(item.sha256) as file:
            return formats.thumbnail(file)
    family = item.media_type.partition("/")[0]
    path = store().path(item.sha256)
    if family == "audio":
        seconds = float(item.facts.get("seconds") or 0.0)
        return svg(sandbox.ask("waveform", path, lambda: None, seconds=seconds)["peaks"]).encode()
    what = "poster" if family == "video" else "picture"
    return base64.b64decode(sandbox.ask(what, path, lambda: None)["webp"])


def svg(peaks: list[float]) -> str:
    """A waveform as a drawing, in a colour that can be seen on light and dark grounds."""
    highest = max(peaks, default=0.0) or 1.0
    bars = "".join(
        f"M{x} {32 - 30 * peak / highest:.1f}V{32 + 30 * peak / highest:.1f}" for x, peak in enumerate(peaks) if peak
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{len(peaks)}" height="64" viewBox="0 0 {len(peaks)} 64"'
        f' preserveAspectRatio="none"><path d="M0 32H{len(peaks)}{bars}" stroke="#5a83e0" stroke-width="0.9"/></svg>'
    )


def _is_quick(item: Item) -> bool:
    """Whether the web process may draw it: a picture of a known kind that is not huge."""
    return (
        item.media_type.startswith("image/")
        and item.media_type != "image/heic"
        and (item.width or 0) * (item.height or 0) <= limits.MAX_PIXELS
    )


def _ask(item: Item) -> None:
    """Have a worker make it, once a minute at most."""
    marker = _asked(item.sha256)
    marker.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if time.time() - marker.stat().st_mtime < ASKED_SECONDS:
            return
    marker.touch()
    enqueue("datasets.tasks.make_preview", item.pk)


def _tell(dataset_id: int) -> None:
    Dataset.objects.filter(pk=dataset_id).update(previews_at=Now())
    publish(f"dataset.{dataset_id}")


def _root() -> Path:
    return Path(settings.TRAINHUB_HOME) / "cache" / "previews"


def _path(sha256: str, kind: str) -> Path:
    return _root() / sha256[:2] / f"{sha256}.{kind}"


def _asked(sha256: str) -> Path:
    return _path(sha256, "asked")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; it is no loss if a power cut takes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError:  # a full disk: it is made again when it is wanted
        draft.unlink(missing_ok=True)
