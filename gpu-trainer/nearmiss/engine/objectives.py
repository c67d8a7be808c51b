"""Training objectives: what one pair costs. To add one, write its function and enter it in `OBJECTIVES`.

All of them take sums of log-probabilities in nats and give a loss per pair; every one can carry an anchor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, slots=True)
class PairScores:
    """(P,) tensors, one entry a pair: log-probabilities of both answers under the trained model and the reference."""

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor

    @property
    def chosen_log_ratio(self) -> Tensor:
        return self.chosen - self.reference_chosen

    @property
    def rejected_log_ratio(self) -> Tensor:
        return self.rejected - self.reference_rejected

    @property
    def margin(self) -> Tensor:
        """How much the chosen answer gained on the rejected one since the reference; 0 before the first step."""
        return self.chosen_log_ratio - self.rejected_log_ratio


Objective = Callable[[PairScores, float], Tensor]
"""(scores, beta) -> (P,) losses."""


def dpo(scores: PairScores, beta: float) -> Tensor:
    """-log sigmoid(beta x margin). Rafailov et al., Direct Preference Optimization, 2023, equation 7."""
    return -logsigmoid(beta * scores.margin)


def sft(scores: PairScores, beta: float) -> Tensor:
    """The chosen answer's negative log-likelihood, in nats per answer; beta and the rejected answer play no part."""
    del beta
    return -scores.chosen


OBJECTIVES: Final[dict[str, Objective]] = {"dpo": dpo, "sft": sft}


def pair_losses(name: str, scores: PairScores, beta: float, anchor: float) -> Tensor:
    """(P,) the objective's losses plus `anchor` times the negative log-likelihood of the chosen answer.

    The anchor keeps DPO from pushing both answers down, which near misses invite (Pal et al., Smaug, 2024; Razin et
    al., 2024); it is the NLL term of Pang et al., Iterative Reasoning Preference Optimization, 2024, without length
    normalisation. Raises KeyError for an unknown objective.
    """
    return OBJECTIVES[name](scores, beta) - anchor * scores.chosen
