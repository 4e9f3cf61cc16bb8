"""forecast: electricity transformers by the hour, as published: 336 hours back, 96 ahead, all seven columns."""

from __future__ import annotations

from collections.abc import Iterator

from bench_recipes import Row, data, folder, sheets, train

USED = 14_400  # rows: 12 months to learn from, 4 for validation, 4 for the test; the rest is not used by anyone


def run() -> Iterator[Row]:
    table = sheets.read(data("etth1") / "ETTh1.csv")
    config = {"target": "all", "horizon": 96, "history": 336}
    with folder() as root:
        version = sheets.version(root, [("ETTh1.csv", "train", table)], aside=[[USED, table.num_rows]])
        done = train(root, "forecast", config, version)
    honest = (
        "official: 8,640 / 2,880 / 2,880 rows in order, standardised by the first; the candidate chosen on validation"
    )
    settings = "default, but target 'all', horizon 96, history 336"
    for metric, known, aim in (
        ("test/mse", "NLinear .374, DLinear .375, ridge .370, Informer .865", "≤ 0.375"),
        ("test/mae", "NLinear .394, DLinear .399, ridge .391, Informer .713", "≤ 0.399"),
        ("test/coverage_80", "–", "0.80"),
        ("test/coverage_95", "–", "0.95"),
    ):
        yield Row("etth1 336 → 96", metric, done.metrics[metric], known, aim, done.seconds, settings, honest)
