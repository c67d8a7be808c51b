"""The loop: score under the reference, take the steps, and be able to go on after any cut exactly where it stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from ..contract import TrainingPolicy
from .adapters import Adapter
from .groups import GroupBatch, batch_groups
from .logprobs import answer_logprobs
from .model import Vlm
from .objectives import PairScores, pair_losses
from .plan import GroupSets, Plan

GRADIENT_NORM_MAX: Final = 1.0
CHECKPOINT_EVERY_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class Score:
    """Summed log-probabilities of one pair's answers, in nats, and their tokens."""

    chosen: float
    rejected: float
    chosen_tokens: int
    rejected_tokens: int


Scores = dict[str, Score]
"""By pair id."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step, measured as its gradients were taken: before its update."""

    step: int
    """Steps done, this one included."""
    steps: int
    loss: float
    margin: float
    chosen_log_ratio: float
    reward_accuracy: float
    learning_rate: float
    gradient_norm: float


class Diverged(Exception):
    """A loss or a gradient is not a finite number; the weights are those before that step."""


class Preempted(Exception):
    """Asked to stop; the last step is in the checkpoint."""


def score(vlm: Vlm, batches: GroupSets, on_batch: Callable[[int], None] = lambda _: None) -> Scores:
    """Every pair under the model as it is now. `on_batch` gets the groups done so far, and may raise to stop."""
    scores: Scores = {}
    done = 0
    for groups in batches:
        with torch.no_grad():
            batch = batch_groups(groups, vlm.pad_id)
            scores |= _scores_of(batch, answer_logprobs(vlm, batch))
        done += len(groups)
        on_batch(done)
    return scores


def learning_rate(recipe: TrainingPolicy, step: int, steps: int) -> float:
    """Of step 0 .. steps - 1: linear warm-up, then half a cosine down to nearly 0."""
    warmup = math.ceil(recipe.warmup_share * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Trainer:
    """Trains one adapter by one plan. `state()` and `load_state()` make a cut invisible in the result."""

    def __init__(self, vlm: Vlm, adapter: Adapter, plan: Plan, reference: Scores, recipe: TrainingPolicy) -> None:
        self.vlm = vlm
        self.adapter = adapter
        self.plan = plan
        self.reference = reference
        self.recipe = recipe
        self.done = 0
        self.optimizer = torch.optim.AdamW(adapter.parameters(), lr=recipe.learning_rate, weight_decay=0.0)

    def steps(self) -> Iterator[StepResult]:
        """Takes the steps that are still to be taken. Raises `Diverged`."""
        total = len(self.plan.steps)
        while self.done < total:
            rate = learning_rate(self.recipe, self.done, total)
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            measured = self._backward(self.plan.steps[self.done])
            norm = float(clip_grad_norm_(self.adapter.parameters(), GRADIENT_NORM_MAX))
            if not (math.isfinite(norm) and math.isfinite(measured["loss"])):
                raise Diverged(f"step {self.done + 1}: loss {measured['loss']}, gradient norm {norm}")
            self.optimizer.step()
            self.done += 1
            yield StepResult(self.done, total, learning_rate=rate, gradient_norm=norm, **measured)

    def state(self) -> dict[str, Any]:
        """All that the remaining steps depend on, for `torch.save`."""
        return {
            "done": self.done,
            "adapter": self.adapter.state(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.adapter.load_state(state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.done = state["done"]

    def _backward(self, step: GroupSets) -> dict[str, float]:
        """Gradients of the step's loss, the mean over its groups of the mean over each one's pairs; its measurements.

        So every prompt weighs the same. Where pairs do, prompts that the model got wrong weigh twice, having its own
        answer as one more rejection: on counts it then went from one too few to one too many.
        """
        count = sum(len(groups) for groups in step)
        totals = {"loss": 0.0, "margin": 0.0, "chosen_log_ratio": 0.0, "reward_accuracy": 0.0}
        for groups in step:
            batch = batch_groups(groups, self.vlm.pad_id)
            scores = self._pair_scores(batch, answer_logprobs(self.vlm, batch))
            shares = [1 / (count * len(group.pair_ids)) for group in groups for _ in group.pair_ids]
            weights = torch.tensor(shares, device=scores.chosen.device)
            losses = pair_losses(self.recipe.objective, scores, self.recipe.beta, self.recipe.anchor)
            loss = (weights * losses).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            totals["loss"] += float(loss.detach())
            totals["margin"] += float((weights * scores.margin.detach()).sum())
            totals["chosen_log_ratio"] += float((weights * scores.chosen_log_ratio.detach()).sum())
            totals["reward_accuracy"] += float((weights * (scores.chosen > scores.rejected)).sum())
        return totals

    def _pair_scores(self, batch: GroupBatch, logprobs: Tensor) -> PairScores:
        reference = [self.reference[pair] for pair in batch.pair_ids]
        device = logprobs.device
        return PairScores(
            chosen=logprobs[batch.pair_chosen.to(device)],
            rejected=logprobs[batch.pair_rejected.to(device)],
            reference_chosen=torch.tensor([pair.chosen for pair in reference], device=device),
            reference_rejected=torch.tensor([pair.rejected for pair in reference], device=device),
        )


def _scores_of(batch: GroupBatch, logprobs: Tensor) -> Scores:
    sums, tokens = logprobs.tolist(), batch.answer_tokens.tolist()
    chosen, rejected = batch.pair_chosen.tolist(), batch.pair_rejected.tolist()
    return {
        pair: Score(sums[c], sums[r], tokens[c], tokens[r])
        for pair, c, r in zip(batch.pair_ids, chosen, rejected, strict=True)
    }
