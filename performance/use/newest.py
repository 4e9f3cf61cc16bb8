"""The newest values of figures, as rules and policies watch them: of any number of figures by one query.

Those of use and all others have an index each, and are looked for apart. Of use the hours are watched: the figure of a
day lags behind them, and its end would always lie before theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime

from performance.models import MetricRecord

SPARE = 2  # an hour may have an estimate beside what is known: so many are fetched for each that is wanted
WANTED = """unnest(%s::int[], %s::bigint[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[], %s::bigint[],
    %s::timestamptz[], %s::boolean[])
    AS wanted(number, model_id, name, most, source, part, least, version_id, after, evaluated)"""
SAME = """model_id = wanted.model_id AND name = wanted.name AND "group" = wanted.part
    AND (count IS NULL OR count >= wanted.least) AND (wanted.version_id IS NULL OR version_id = wanted.version_id)"""
NEWEST = f"""
SELECT figure.*, wanted.number AS wanted, version.number AS version_number FROM {WANTED}
CROSS JOIN LATERAL (
    (SELECT * FROM performance_metricrecord WHERE {SAME} AND source <> 'logged'
        AND wanted.source IN ('', source) AND recorded_at > coalesce(wanted.after, '-infinity')
        ORDER BY recorded_at DESC, id DESC LIMIT {SPARE} * wanted.most)
    UNION ALL
    (SELECT * FROM performance_metricrecord WHERE {SAME} AND source = 'logged' AND bucket = 'hour'
        AND wanted.source IN ('', 'logged') AND since > coalesce(wanted.after, '-infinity') - interval '1 hour'
        ORDER BY since DESC, id DESC LIMIT {SPARE} * wanted.most)
    UNION ALL
    (SELECT * FROM performance_metricrecord WHERE wanted.evaluated AND {SAME} AND source = 'evaluation'
        AND version_id = wanted.version_id AND wanted.source IN ('', 'evaluation') AND recorded_at <= wanted.after)
) figure
JOIN registry_modelversion version ON version.id = figure.version_id
"""


@dataclass(frozen=True)
class Wanted:
    """A figure whose newest values are wanted, `most` of them.

    `source` '': of all. `least`: what rests on less is left out, if it says what it rests on. `version_id` None: of any
    version. `after` None: of all times; else recorded later, of hours of use those that ended later; `evaluated`: and
    the evaluation of the version, whenever that was.
    """

    model_id: int
    name: str
    most: int
    source: str = ""
    group: str = ""
    least: int = 0
    version_id: int | None = None
    after: datetime | None = None
    evaluated: bool = False


def newest(wanted: Sequence[Wanted]) -> list[list[MetricRecord]]:
    """The values of each, newest first, each with its `version_number`. One query."""
    found: list[list[MetricRecord]] = [[] for _ in wanted]
    if not wanted:
        return found
    columns = zip(*map(astuple, wanted), strict=True)
    for row in MetricRecord.objects.raw(NEWEST, [[*range(len(wanted))], *map(list, columns)]):
        found[row.wanted].append(row)
    return [latest(rows, one.most) for rows, one in zip(found, wanted, strict=True)]


def latest(found: Iterable[MetricRecord], most: int) -> list[MetricRecord]:
    """The newest `most`, newest first. An estimate steps back where the same hour is known."""
    rows = sorted(found, key=lambda row: (row.recorded_at, row.pk), reverse=True)
    known = {(row.version_id, row.since) for row in rows if row.since and not row.estimated}
    kept = [row for row in rows if not (row.estimated and (row.version_id, row.since) in known)]
    return kept[:most]


def mark(row: MetricRecord) -> str:
    """Tells one value from the next. An hour that goes on is reckoned again each minute and stays the same one."""
    return f"{row.version_id} {row.since:%Y-%m-%dT%H}" if row.since else str(row.pk)
