"""Bounds for the change of accuracy when two models answer the same items."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import norm


def change_bounds(n: int, fixed: int, broken: int, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of the change of accuracy, each one-sided at `confidence`; n >= 1.

    `fixed` items went from wrong to right, `broken` ones from right to wrong. Tango's score interval for a difference
    of paired proportions (Statistics in Medicine 17, 1998): its lower bound is above 0 exactly when McNemar's test says
    so, and it stays honest where few items or none changed (40 of 40 unchanged: -0.063 to 0.063 at 95 %).
    """
    z = float(norm.ppf(confidence))
    change = (fixed - broken) / n

    def distance(delta: float) -> float:
        return _score(n, fixed, broken, delta)

    lower = -1.0 if change <= -1 else brentq(lambda delta: distance(delta) - z, -1 + 1e-12, change - 1e-15)
    upper = 1.0 if change >= 1 else brentq(lambda delta: distance(delta) + z, change + 1e-15, 1 - 1e-12)
    return float(lower), float(upper)


def _score(n: int, fixed: int, broken: int, delta: float) -> float:
    """How many standard errors the observed change lies above `delta`, errors as they are if `delta` is the truth."""
    b = (2 * n - fixed + broken) * delta - fixed - broken
    c = -broken * delta * (1 - delta)
    share_broken = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * share_broken + delta * (1 - delta))
    excess = fixed - broken - n * delta
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)
