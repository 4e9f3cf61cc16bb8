"""Looking through a dataset of a million items: server time of pages, filters, searches, and of changing many items."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from bench import scratch
from bench.report import line

ITEMS = 1_000_000
REPEATS = 5
EDITED = 100_000

# Rows of text of some 150 characters; one in a thousand is set aside, one in twenty thousand speaks of zebras.
FILL = """
INSERT INTO datasets_item (dataset_id, sha256, name, label, caption, content, facts, metadata, "group", origin, review,
    review_round, governance, aside, quality, media_type, bytes, characters, created_at)
SELECT %s, md5(n::text) || md5((-n)::text), 'rows/' || n || '.jsonl', 'class ' || n %% 10, '',
    jsonb_build_object('prompt', 'Question number ' || n || CASE WHEN n %% 20000 = 0 THEN ' about zebras' ELSE '' END,
        'completion', repeat(md5(n::text) || ' ', 3)),
    '{}', '{}', CASE WHEN n %% 3 = 0 THEN 'group ' || n / 3000 ELSE '' END, '{}',
    CASE WHEN n %% 2 = 0 THEN 'approved' WHEN n %% 5001 = 0 THEN 'rejected' ELSE 'none' END, 1, 'allowed',
    CASE WHEN n %% 1000 = 0 THEN 'by_hand' ELSE '' END, 100 - n %% 60, 'application/vnd.trainhub.row+json',
    150, 130, now()
FROM generate_series(%s::int, %s::int) AS n
"""


def main() -> None:
    print("\n## Browsing", flush=True)
    with scratch.database():
        _measure()


def _measure() -> None:
    from django.db import connection

    dataset, owner = _filled()
    from datasets.items import browse, edits, filters

    def page(**asked: Any) -> Callable[[], Any]:
        place = {name: asked.pop(name) for name in ("sort", "after") if name in asked}

        def both() -> Any:
            wanted = filters.read(dataset, asked)
            return browse.page(dataset, wanted, **place), browse.total(dataset, wanted)

        return both

    middle = dataset.items.order_by("id").values_list("pk", flat=True)[ITEMS // 2]
    for name, ask in {
        "first page": page(), "page in the middle": page(after=f"i-{middle}"), "newest first": page(sort="-id"),
        "lowest quality first": page(sort="quality"), "one class of ten": page(label="class 3"),
        "approved, of one class": page(label="class 4", review="approved"),
        "rejected (0.01 %)": page(review="rejected"),
        "set aside (0.1 %)": page(aside="yes"), "not set aside, quality 95 and more": page(aside="no", quality_from=95),
        "group": page(group="group 7"), "search: in every row": page(search="question"),
        "search: in one row of 20,000": page(search="zebras"), "search: nowhere": page(search="unicorns"),
    }.items():  # fmt: skip
        line(f"{name}: page and count", f"{_milliseconds(ask):.0f} ms", "100 ms")
    looked = 1
    asked = filters.read(dataset, {"search": "unicorns"})
    part = browse.page(dataset, asked)
    while part.after is not None:
        part = browse.page(dataset, asked, after=str(part.after))
        looked += 1
    line("requests that look for one word through all items", f"{looked}")

    from django.test import Client

    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(owner)
    for name, address in {"items as the page asks for them": "", "items of one class": "?label=class+3"}.items():
        took = _milliseconds(lambda address=address: client.get(
            f"/datasets/{dataset.pk}{address}", headers={"HX-Request": "true"}))  # fmt: skip
        line(f"{name}, rendered", f"{took:.0f} ms", "100 ms")
    line("the whole page of the dataset", f"{_milliseconds(lambda: client.get(f'/datasets/{dataset.pk}')):.0f} ms")

    ids = dataset.items.order_by("id").values_list("pk", flat=True)[:EDITED]
    started = time.perf_counter()
    edit = edits.edit_items(dataset, owner, ids, field="label", value="changed")
    line(f"setting the class of {edit.count:,} items", f"{time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    undone = edits.undo(edit, owner)
    line(f"undoing it, {undone.restored:,} items", f"{time.perf_counter() - started:.1f} s")
    connection.close()


def _filled() -> tuple[Any, Any]:
    """A dataset of a million rows, put there by SQL, and its owner."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from datasets.creation import create_dataset
    from datasets.models import Dataset

    owner = get_user_model().objects.create_superuser("bench", "bench@example.org", "benchmarks only")
    dataset, _ = create_dataset(owner, name="A million rows", modality="text")
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for first in range(1, ITEMS, 100_000):
            cursor.execute(FILL, [dataset.pk, first, min(ITEMS, first + 99_999)])
        cursor.execute("VACUUM (ANALYZE) datasets_item")
    Dataset.objects.filter(pk=dataset.pk).update(item_count=ITEMS, byte_count=150 * ITEMS, status="active")
    dataset.refresh_from_db()
    return dataset, owner


def _milliseconds(ask: Callable[[], Any]) -> float:
    """The median of some runs after one that warms up."""
    ask()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
