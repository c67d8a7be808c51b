"""Which groups are trained together, and in which order: a pure function of the groups, the recipe and the seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

from ..contract import Order
from .groups import Group

TOKENS_PER_BATCH: Final = 2_048
"""Padded tokens of one forward pass; a step is made of as many passes as its groups need."""

GroupSets = tuple[tuple[Group, ...], ...]
"""The groups of each forward pass."""


@dataclass(frozen=True, slots=True)
class Plan:
    scoring: GroupSets
    """Every group once, in the very batches of the first epoch: the same arithmetic, so margins start at exactly 0.

    Those that are only scored come behind them, in batches of their own.
    """
    steps: tuple[GroupSets, ...]
    """The batches of each optimizer step."""


def make_plan(
    groups: Sequence[Group],
    epochs: float,
    groups_per_step: int,
    seed: int,
    order: Order = "shuffled",
    scored: Sequence[Group] = (),
) -> Plan:
    """Steps of about `groups_per_step` groups, each cut into batches of similar length; `scored` are never trained on.

    Groups are taken in a random order, another one in each epoch, or from the easiest to the hardest. Whatever order
    they come in, the plan is the same. An epoch has as many steps as come nearest, equally large.
    """
    rng = Random(seed)
    by_id = sorted(groups, key=lambda group: group.id)
    easy_first = sorted(by_id, key=lambda group: -group.predicted)
    whole = [
        _epoch(easy_first if order == "easy-to-hard" else rng.sample(by_id, len(by_id)), groups_per_step)
        for _ in range(max(1, math.ceil(epochs)))
    ]
    count = math.ceil(epochs * len(whole[0]))
    return Plan(
        scoring=(*(batch for step in whole[0] for batch in step), *by_length(scored)),
        steps=tuple(step for epoch in whole for step in epoch)[:count],
    )


def by_length(groups: Sequence[Group], tokens: int = TOKENS_PER_BATCH) -> GroupSets:
    """The groups in batches of at most `tokens` padded tokens, similar lengths together; a longer one stands alone."""
    batches: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: (-group.length, group.id)):
        if batches and (len(batches[-1]) + 1) * batches[-1][0].length <= tokens:
            batches[-1].append(group)
        else:
            batches.append([group])
    return tuple(tuple(batch) for batch in batches)


def _epoch(groups: Sequence[Group], groups_per_step: int) -> list[GroupSets]:
    count = max(1, round(len(groups) / groups_per_step))
    cuts = [len(groups) * k // count for k in range(count + 1)]
    return [by_length(groups[begin:end]) for begin, end in pairwise(cuts)]
