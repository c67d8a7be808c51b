"""Groups: one prompt with its images, its right answer and K near misses, laid out as one row.

`[prompt | chosen | rejected 1 | .. | rejected K]`; every answer hangs on the prompt, so image and prompt are computed
once for all of them. Grouping changes the speed, never a log-probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .layout import Rows, Segment, lay_out


@dataclass(frozen=True, slots=True)
class Group:
    """Token ids of one group. `pair_ids[k]` names the pair of `chosen` and `rejected[k]`."""

    id: str
    pair_ids: tuple[str, ...]
    images: tuple[str, ...]
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[tuple[int, ...], ...]
    predicted: float = 0.5
    """Mean predicted accuracy of its pairs: the higher, the easier."""

    @property
    def answers(self) -> tuple[tuple[int, ...], ...]:
        return (self.chosen, *self.rejected)

    @property
    def length(self) -> int:
        """Tokens of its row."""
        return len(self.prompt) + sum(map(len, self.answers))

    def row(self) -> list[Segment]:
        return [Segment(self.prompt), *(Segment(answer, parent=0) for answer in self.answers)]


@dataclass(frozen=True, slots=True)
class GroupBatch:
    """A batch of groups, and where each of its N answer tokens is predicted."""

    groups: tuple[Group, ...]
    rows: Rows
    row_index: Tensor
    """(N,) the row in which an answer token is predicted."""
    position: Tensor
    """(N,) the place in that row whose output predicts it."""
    target: Tensor
    """(N,) the token itself."""
    answer: Tensor
    """(N,) the answer it belongs to, counted through the batch: chosen, rejected 1 .. K of each group in turn."""
    answer_tokens: Tensor
    """(A,) tokens of each answer."""
    pair_chosen: Tensor
    """(P,) the answer number of each pair's chosen answer."""
    pair_rejected: Tensor
    """(P,) the answer number of each pair's rejected answer."""

    @property
    def pair_ids(self) -> list[str]:
        return [pair for group in self.groups for pair in group.pair_ids]

    @property
    def images(self) -> list[str]:
        return [image for group in self.groups for image in group.images]


def batch_groups(groups: Sequence[Group], pad_id: int) -> GroupBatch:
    """The batch of these groups, padded to the longest row; P pairs, A answers."""
    rows = lay_out([group.row() for group in groups], pad_id)
    row_index: list[int] = []
    position: list[int] = []
    target: list[int] = []
    owner: list[int] = []
    lengths: list[int] = []
    chosen: list[int] = []
    rejected: list[int] = []
    for index, group in enumerate(groups):
        first = len(lengths)
        for start, answer in zip(rows.starts[index][1:], group.answers, strict=True):
            row_index += [index] * len(answer)
            position += [len(group.prompt) - 1, *range(start, start + len(answer) - 1)]
            target += answer
            owner += [len(lengths)] * len(answer)
            lengths.append(len(answer))
        chosen += [first] * len(group.rejected)
        rejected += range(first + 1, first + 1 + len(group.rejected))
    return GroupBatch(
        groups=tuple(groups),
        rows=rows,
        row_index=torch.tensor(row_index),
        position=torch.tensor(position),
        target=torch.tensor(target),
        answer=torch.tensor(owner),
        answer_tokens=torch.tensor(lengths),
        pair_chosen=torch.tensor(chosen),
        pair_rejected=torch.tensor(rejected),
    )
