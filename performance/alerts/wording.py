"""What a rule does, in words."""

from __future__ import annotations

from common.wording import number
from performance.models import AlertRule, MetricRecord

Kind = AlertRule.Kind


def sentence(rule: AlertRule) -> str:
    """When it opens an alert, and when that is over."""
    off = "" if rule.enabled else "Turned off. "
    return f"{off}{_OPENS[Kind(rule.kind)](rule)} {_OVER[Kind(rule.kind)](rule)}"


def told(rule: AlertRule) -> str:
    """Who hears of it, beside the pages."""
    names = [channel.name for channel in rule.channels.all()]
    if not names:
        return "It is shown on the pages, and sent nowhere."
    return (
        f"It is sent to {', '.join(names)}: once when it opens, once a day while nobody takes it up, once at its end."
    )


def whose(rule: AlertRule) -> str:
    """What it is about: one model, or all that its owner sees."""
    return f"'{rule.model}'" if rule.model else "any model" if rule.owner_id is None else "any model that you see"


def _metric(rule: AlertRule) -> str:
    source = f" ({MetricRecord.Source(rule.source).label.lower()})" if rule.source else ""
    group = f" of the group '{rule.group}'" if rule.group else ""
    says = AlertRule.Comparison(rule.comparison).label
    what = f"{rule.metric}{group}{source} of {whose(rule)} {says} {number(rule.threshold)}"
    least = f" Figures that rest on fewer than {rule.minimum_count:,} don't count." if rule.minimum_count else ""
    return f"An alert opens when {what}{_in_a_row(rule)}.{least}"


def _metric_over(rule: AlertRule) -> str:
    side = "below" if rule.comparison == AlertRule.Comparison.ABOVE else "above"
    return f"It is over when the figure is {number(_clear(rule))} or {side}{_in_a_row(rule)}."


def _drift(rule: AlertRule) -> str:
    least = f" Checks of fewer than {rule.minimum_count:,} don't count." if rule.minimum_count else ""
    return f"An alert opens when a check finds that {whose(rule)} meets other data{_in_a_row(rule)}.{least}"


def _in_a_row(rule: AlertRule) -> str:
    return f", {rule.in_a_row} times in a row" if rule.in_a_row > 1 else ""


def _jobs(rule: AlertRule) -> str:
    of = f" of '{rule.model}'" if rule.model else "" if rule.owner_id is None else " of yours"
    return f"jobs{of}"


def _failed(rule: AlertRule) -> str:
    return f"An alert opens when {number(rule.threshold)} or more {_jobs(rule)} fail within {rule.minutes:,} minutes."


def _waiting(rule: AlertRule) -> str:
    least = f" and at least {rule.minimum_count:,} wait" if rule.minimum_count > 1 else ""
    return f"An alert opens when {_jobs(rule)} wait in the queue for {number(rule.threshold)} minutes{least}."


def _clear(rule: AlertRule) -> float | None:
    return rule.threshold if rule.clear_threshold is None else rule.clear_threshold


_OPENS = {
    Kind.METRIC: _metric,
    Kind.DRIFT: _drift,
    Kind.JOB_FAILED: _failed,
    Kind.JOBS_WAITING: _waiting,
    Kind.NODE_SILENT: lambda rule: (
        f"An alert opens when a machine that was not stopped is not heard of for {number(rule.threshold)} minutes."
    ),
    Kind.DISK: lambda rule: f"An alert opens when the hub's disk is {number(rule.threshold)} % full.",
    Kind.ARTIFACT_DAMAGED: lambda rule: f"An alert opens when files of a version of {whose(rule)} are damaged.",
}
_OVER = {
    Kind.METRIC: _metric_over,
    Kind.DRIFT: lambda rule: f"It is over when a check finds no drift{_in_a_row(rule)}.",
    Kind.JOB_FAILED: lambda rule: f"It is over when {number(_clear(rule))} or fewer have.",
    Kind.JOBS_WAITING: lambda rule: f"It is over when none has waited longer than {number(_clear(rule))} minutes.",
    Kind.NODE_SILENT: lambda rule: "It is over when the machine is heard of again, stopped in order, or forgotten.",
    Kind.DISK: lambda rule: f"It is over at {number(_clear(rule))} %.",
    Kind.ARTIFACT_DAMAGED: lambda rule: "It is over when they are whole again, or the version is deleted.",
}
