"""What promotion is told of experiments: evidence of each variant, and who should take the control's place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from performance.experiments.judging import Finding, Verdict
from performance.models import Experiment
from registry.models import RouteArm
from registry.promotion import verbs
from registry.promotion.evidence import note as note_evidence

# What a version must have done to pass: one that answers nobody yet need not be better, only not worse.
PASSES = {
    Experiment.Kind.AB: {Verdict.BETTER},
    Experiment.Kind.SHADOW: {Verdict.BETTER, Verdict.NO_DIFFERENCE},
}


def note(
    experiment: Experiment, variants: Sequence[RouteArm], findings: Sequence[Finding], said: Sequence[str],
    control: RouteArm,
) -> None:  # fmt: skip
    """Leave evidence of each variant of a decided experiment, in the caller's transaction."""
    for arm, finding, words in zip(variants, findings, said, strict=True):
        if finding.verdict is Verdict.NOT_YET:
            continue
        passed = finding.verdict in PASSES[Experiment.Kind(experiment.kind)]
        shown = of(experiment) | {"words": words, "verdict": finding.verdict.value}
        note_evidence(arm.version, experiment.kind, passed, shown, against=control.version)


def promote(experiment: Experiment, winner: RouteArm, by: AbstractBaseUser, reason: str) -> Any:
    """Have the winner promoted; what `registry.promotion.verbs.promote` makes of it: a change, or a request that
    others approve."""
    return verbs.promote(winner.version, by, reason=reason, evidence=of(experiment))


def of(experiment: Experiment) -> dict[str, Any]:
    """What goes into records of promotion."""
    return {"experiment": experiment.pk, "words": experiment.words, "metric": experiment.metric}
