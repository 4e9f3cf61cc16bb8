"""Whether keys were divided as the weights say.

Where they were not, something loses answers of one side (a version that fails, a program that asks twice), and no
figure of such an experiment can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log

ALPHA = 0.001  # an alarm where all is well must be rare: it puts a whole experiment in doubt
STRENGTH = 100.0  # how near the weights another division is taken to lie: as after so many keys


def ratio_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """How unlikely counts so far from the weights are, however often one looks.

    The multinomial counterpart of the chi-square test: a Bayes factor of divisions around the weights (Dirichlet)
    against the weights themselves, whose inverse is a p-value at all looks together (Lindon and Malek, Anytime-valid
    inference for multinomial count data, 2022).
    """
    whole = sum(weights)
    shares = [weight / whole for weight in weights]
    before = [STRENGTH * share for share in shares]
    factor = _beta([a + n for a, n in zip(before, counts, strict=True)]) - _beta(before)
    factor -= sum(n * log(share) for n, share in zip(counts, shares, strict=True))
    return min(1.0, exp(-factor)) if factor > -700 else 1.0


def _beta(values: Sequence[float]) -> float:
    """The logarithm of the multivariate beta function."""
    return sum(map(lgamma, values)) - lgamma(sum(values))
