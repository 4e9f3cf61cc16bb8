"""Comparisons as the API is asked for them and tells them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.numbers import finite
from common.serializers import Input, TextField, WholeField
from history.comparing import curves, runs
from history.comparing.comparison import Comparison
from history.comparing.curves import Curve
from history.comparing.figures import Figure, Value
from history.comparing.items import ItemChanges
from history.comparing.runs import Run
from history.comparing.tables import Table

RUNS = (
    f"{runs.LEAST} to {runs.MOST} runs by comma: job numbers; v7 stands for the job of model version 7, s7 for that "
    "of record 7 of the history."
)


class CompareQuery(Input):
    runs = TextField(max_length=2000, help_text=RUNS)


class CurvesQuery(CompareQuery):
    metric = TextField(max_length=100, help_text="One of the comparison's `metrics`.")
    x = serializers.ChoiceField(
        choices=list(curves.AXES), required=False, default="step",
        help_text="Step, seconds at work without waiting and pauses, or examples seen.",
    )  # fmt: skip
    max_points = WholeField(
        required=False, default=curves.POINTS, min_value=curves.FEWEST, max_value=curves.MOST,
        help_text="Of each curve, about. Lowest and highest values stay.",
    )  # fmt: skip
    format = serializers.ChoiceField(choices=["json", "csv"], required=False, default="json")


class ComparedRunSerializer(serializers.Serializer):
    id = serializers.IntegerField(help_text="The job's number.")
    name = serializers.CharField()
    recipe = serializers.CharField()
    status = serializers.CharField()
    seed = serializers.IntegerField()
    model_version = serializers.IntegerField(allow_null=True)
    dataset_version = serializers.IntegerField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True, help_text="At work, without waiting and pauses.")
    expected_seconds = serializers.FloatField(allow_null=True)
    cost = serializers.FloatField(allow_null=True)
    currency = serializers.CharField()


class ComparedCellSerializer(serializers.Serializer):
    value = serializers.JSONField(allow_null=True)
    there = serializers.BooleanField(help_text="False: the run says nothing of it.")
    note = serializers.CharField(help_text="That it is the default, or why nothing is said.")


class ComparedRowSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    values = ComparedCellSerializer(many=True, help_text="One for each run, in their order.")


class ComparedTableSerializer(serializers.Serializer):
    rows = ComparedRowSerializer(many=True, help_text="What differs.")
    equal = serializers.IntegerField(help_text="How much is the same everywhere, and left out.")
    left_out = serializers.IntegerField(help_text="Settings that only some of the recipes have.")


class ComparedValueSerializer(serializers.Serializer):
    value = serializers.FloatField(allow_null=True, help_text="Null where it was not a finite number.")
    step = serializers.IntegerField(allow_null=True)


class ComparedFigureSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    better = serializers.CharField(allow_null=True, help_text="higher, lower, or null where it is not known.")
    sample = serializers.BooleanField(
        help_text="`best` is of a sample, `last` of a completed run of everything: they can't be compared."
    )
    last = ComparedValueSerializer(many=True, help_text="What each run ended with; null where it has none.")
    best = ComparedValueSerializer(many=True, help_text="The best value on the way; null where none is known.")
    leaders = serializers.ListField(
        child=serializers.IntegerField(), help_text="Runs with the best last value; none where they can't be compared."
    )


class ComparedItemsSerializer(serializers.Serializer):
    run = serializers.IntegerField()
    before = serializers.IntegerField(help_text="The dataset version of the first run.")
    after = serializers.IntegerField()
    counts = serializers.DictField(
        child=serializers.IntegerField(), allow_null=True, help_text="added, removed, changed"
    )
    moved = serializers.IntegerField(help_text="Of those changed, how many are only in another part.")
    reason = serializers.CharField(help_text="Why there are no counts.")


class ComparisonSerializer(serializers.Serializer):
    runs = ComparedRunSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField(), help_text="How far they can be compared at all.")
    metrics = serializers.ListField(child=serializers.CharField(), help_text="With curves of at least two runs.")
    axes = serializers.ListField(child=serializers.CharField(), help_text="What curves can be drawn over.")
    settings = ComparedTableSerializer()
    data = ComparedTableSerializer()
    environment = ComparedTableSerializer()
    course = ComparedTableSerializer()
    figures = ComparedFigureSerializer(many=True)
    items = ComparedItemsSerializer(many=True, help_text="Between the data of the first run and those of others.")


class ComparedCurveSerializer(serializers.Serializer):
    run = serializers.IntegerField()
    name = serializers.CharField()
    total_points = serializers.IntegerField(help_text="Finite values before thinning; 0: it reported none.")
    x = serializers.ListField(child=serializers.FloatField())
    steps = serializers.ListField(child=serializers.IntegerField())
    values = serializers.ListField(child=serializers.FloatField(allow_null=True))


class ComparedCurvesSerializer(serializers.Serializer):
    metric = serializers.CharField()
    x = serializers.CharField()
    curves = ComparedCurveSerializer(many=True)


def shown(found: Comparison) -> dict[str, Any]:
    """A comparison as ComparisonSerializer describes it."""
    return finite({
        "runs": [_run(run) for run in found.runs],
        "notes": found.notes,
        "metrics": curves.metrics(found.runs),
        "axes": curves.axes(found.runs),
        **{key: _table(table) for key, _, table in found.tables},
        "figures": [_figure(figure, found.runs) for figure in found.figures],
        "items": [_items(entry) for entry in found.items],
    })  # fmt: skip


def shown_curves(metric: str, axis: str, found: list[Curve]) -> dict[str, Any]:
    """Curves as ComparedCurvesSerializer describes them: columns, since they are long."""
    return {"metric": metric, "x": axis, "curves": [_curve(curve) for curve in found]}


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "run": curve.run.key, "name": curve.run.name, "total_points": curve.total,
        "x": [point.x for point in curve.points], "steps": [point.step for point in curve.points],
        "values": [point.value for point in curve.points],
    }  # fmt: skip


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.key, "name": run.name, "recipe": run.recipe, "status": run.job.status if run.job else "completed",
        "seed": run.seed, "model_version": run.version.pk if run.version else None,
        "dataset_version": run.data.pk if run.data else None, "seconds": runs.took(run),
        "expected_seconds": run.estimate.seconds, "cost": runs.cost(run), "currency": run.estimate.currency,
    }  # fmt: skip


def _table(table: Table) -> dict[str, Any]:
    rows = [
        {
            "name": row.name, "title": row.title,
            "values": [{"value": cell.value, "there": cell.there, "note": cell.note} for cell in row.cells],
        }
        for row in table.rows
    ]  # fmt: skip
    return {"rows": rows, "equal": table.equal, "left_out": table.left_out}


def _figure(figure: Figure, of: list[Run]) -> dict[str, Any]:
    return {
        "name": figure.name, "title": figure.title, "better": figure.better,
        "sample": figure.sample,
        "last": [_value(value) for value in figure.last], "best": [_value(value) for value in figure.best],
        "leaders": [run.key for run, leads in zip(of, figure.leaders, strict=True) if leads],
    }  # fmt: skip


def _value(value: Value | None) -> dict[str, Any] | None:
    return None if value is None else {"value": value.value, "step": value.step}


def _items(entry: ItemChanges) -> dict[str, Any]:
    return {
        "run": entry.run.key, "before": entry.before.pk, "after": entry.after.pk, "counts": entry.counts,
        "moved": entry.moved, "reason": entry.reason,
    }  # fmt: skip
