"""A verdict in words, with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from common import wording
from performance.experiments import ratio
from performance.experiments.judging import Finding, Verdict
from performance.experiments.metrics import Metric, is_rank, is_share
from performance.models import Experiment
from registry.models import RouteArm

SO_FAR = "So far nothing can be said"


def of_arm(experiment: Experiment, arm: RouteArm, control: RouteArm, finding: Finding) -> str:
    """One variant beside the control, in a sentence or two."""
    who, whom = f"v{arm.version.number}", f"v{control.version.number}"
    if finding.effect is None or finding.known is None or finding.known.low == -float("inf"):
        return f"{SO_FAR} of {who}: there are too few outcomes."
    value, low, high = finding.effect.value, finding.known.low, finding.known.high
    distance = f"{difference(experiment, value)} ({span(experiment, low, high)})"
    about = topic(experiment)
    match finding.verdict:
        case Verdict.BETTER:
            return f"{who} is better than {whom}: {about} differs by {distance}."
        case Verdict.WORSE:
            return f"{who} is worse than {whom}: {about} differs by {distance}."
        case Verdict.NO_DIFFERENCE:
            least = difference(experiment, experiment.margin).removeprefix("+")
            return f"{who} and {whom} do not differ by {least} or more: {about} differs by {distance}."
        case _:
            return f"{who} and {whom} can't be told apart yet: {about} differs by {distance}.{_more(finding)}"


def of_all(
    experiment: Experiment, verdict: Verdict, said: Sequence[str], winner: RouteArm | None, ratio_p: float | None
) -> str:
    """The verdict on the experiment, then on each variant."""
    if verdict is Verdict.UNTRUSTED:
        return (
            "The figures can't be trusted: keys were not divided as the weights say "
            f"(p = {wording.number(ratio_p)}, an alarm below {ratio.ALPHA}). Something loses answers of one side, such "
            "as a version that fails or a program that asks again. Find it, stop this test and begin another."
        )
    lead = f"v{winner.version.number} won. " if winner and len(said) > 1 else ""
    return lead + " ".join(said)


def ended(experiment: Experiment, why: str) -> str:
    """What is said of an experiment that ended without a verdict of its own."""
    return f"{why} {experiment.words or SO_FAR + '.'}"


def topic(experiment: Experiment) -> str:
    """What differs, as it stands before 'differs by'."""
    shadow = experiment.kind == Experiment.Kind.SHADOW
    match Metric(experiment.metric):
        case Metric.CORRECT:
            return "the share of right answers"
        case Metric.FEEDBACK_SHARE:
            return "the share of good feedback"
        case Metric.FEEDBACK_MEAN:
            return "the mean of the feedback"
        case Metric.FEEDBACK_RANK:
            return "how often its feedback is the higher one, less how often it is the lower one,"
        case Metric.ERROR_MEAN:
            return "the mean absolute error"
        case Metric.ERROR_RANK:
            return (
                f"how often its error is the larger one{' of the two' if shadow else ''}, less how often the smaller,"
            )
        case Metric.LATENCY:
            return f"how often it takes longer{' on the same input' if shadow else ''}, less how often it is quicker,"


def difference(experiment: Experiment, value: float) -> str:
    """A difference with its sign: shares in points of a percent."""
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    return sign + _size(experiment, abs(value))


def span(experiment: Experiment, low: float, high: float) -> str:
    """An interval of differences."""
    return f"from {difference(experiment, low)} to {difference(experiment, high)}"


def figure(experiment: Experiment, value: float | None) -> str:
    """The figure of an arm."""
    if value is None:
        return wording.NOTHING
    if is_share(experiment.metric):
        return wording.percent(value)
    return f"{wording.number(value)} ms" if experiment.metric == Metric.LATENCY else wording.number(value)


def _size(experiment: Experiment, value: float) -> str:
    if is_share(experiment.metric) or is_rank(experiment.metric):
        return f"{100 * value:.2f} points" if value < 0.01 else f"{100 * value:.1f} points"
    return wording.number(float(f"{value:.4g}"))


def _more(finding: Finding) -> str:
    if finding.more is None:
        return " If outcomes go on like this, more of them will hardly tell."
    # Two digits: more would pretend to know.
    return f" About {int(float(f'{finding.more:.2g}')):,} more outcomes would tell, if they are like those so far."
