"""What training did to the batch's own pairs. Shown and stored; never a reason to promote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from statistics import fmean

from pydantic.alias_generators import to_camel

from .engine.training import Score, Scores


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over the pairs, in nats where not a share."""

    reward_accuracy_before: float
    """Share of pairs whose chosen answer is likelier per token than the rejected one."""
    reward_accuracy_after: float
    margin_before: float
    """Log-probability of chosen minus rejected."""
    margin_after: float
    chosen_log_ratio: float
    """Log-probability of the chosen answer, after minus before."""
    rejected_log_ratio: float

    def finite(self) -> dict[str, float]:
        """By their names on the wire, without values that are no numbers."""
        return {to_camel(name): value for name, value in asdict(self).items() if isfinite(value)}


def measure(before: Scores, after: Scores, trained: Sequence[str]) -> Measured:
    """Over the pairs that were trained on, one at least: what is only scored may have its answers swapped."""
    old, new = [before[pair] for pair in trained], [after[pair] for pair in trained]
    return Measured(
        reward_accuracy_before=fmean(map(_preferred, old)),
        reward_accuracy_after=fmean(map(_preferred, new)),
        margin_before=fmean(one.chosen - one.rejected for one in old),
        margin_after=fmean(one.chosen - one.rejected for one in new),
        chosen_log_ratio=fmean(b.chosen - a.chosen for a, b in zip(old, new, strict=True)),
        rejected_log_ratio=fmean(b.rejected - a.rejected for a, b in zip(old, new, strict=True)),
    )


def _preferred(one: Score) -> bool:
    return one.chosen / one.chosen_tokens > one.rejected / one.rejected_tokens
