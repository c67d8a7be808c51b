"""What a round hands back: reports per pair, the completion, the summary. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from .batch import Prepared, pairs_in
from .contract import PairReport, RefusedPair, ScoredPair
from .engine.training import Scores

REFUSAL_CHARS: Final = 500
REASONS_SHOWN: Final = 20


def refusals(refused: Mapping[str, str]) -> list[PairReport]:
    """Reports of the pairs that could not be used."""
    return [RefusedPair(pair_id=pair, refused=reason[:REFUSAL_CHARS]) for pair, reason in refused.items()]


def measurements(before: Scores, after: Scores) -> list[PairReport]:
    """Reports of the pairs that were trained on or scored, less those with a value that is no number."""
    return [
        ScoredPair(
            pair_id=pair,
            chosen_before=before[pair].chosen,
            rejected_before=before[pair].rejected,
            chosen_after=one.chosen,
            rejected_after=one.rejected,
            chosen_tokens=one.chosen_tokens,
            rejected_tokens=one.rejected_tokens,
        )
        for pair, one in after.items()
        if isfinite(one.chosen) and isfinite(one.rejected)
    ]


def counts_of(prepared: Prepared, steps: int) -> dict[str, int]:
    """How much was trained on, and how much was only scored."""
    return {
        "groups": len(prepared.groups),
        "pairs": len(pairs_in(prepared.groups)),
        "scored": len(pairs_in(prepared.scored)),
        "refused": len(prepared.refused),
        "steps": steps,
    }


def refusals_by_reason(refused: Mapping[str, str]) -> dict[str, int]:
    """The commonest reasons with their counts."""
    return dict(Counter(refused.values()).most_common(REASONS_SHOWN))


def rounded(seconds: Mapping[str, float]) -> dict[str, Any]:
    return {phase: round(spent, 3) for phase, spent in seconds.items()}
