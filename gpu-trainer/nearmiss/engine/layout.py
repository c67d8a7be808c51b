"""Rows whose segments form a tree: what segments have in common is computed once.

A segment sees itself causally and its ancestors wholly, and nothing else; its positions go on where its parent ends.
So `[prompt | chosen | rejected]` gives each answer exactly what it would get in a row of its own, and
`[image | question 1 | question 2]` answers many questions for the price of one image. The idea is tree attention, as in
SpecInfer (Miao et al., 2023); the masks go to stock models as 4-D boolean attention masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PAD_SEGMENT: Final = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that follow those of `parent`, the index of an earlier segment of the same row (None: the row's start)."""

    tokens: tuple[int, ...]
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A padded batch of rows; B rows of at most L tokens."""

    ids: Tensor
    """(B, L) token ids, int64."""
    positions: Tensor
    """(B, L) position ids, int64."""
    mask: Tensor
    """(B, 1, L, L) bool: true where the query (third axis) sees the key (last axis)."""
    starts: tuple[tuple[int, ...], ...]
    """For each row, the offset of each segment in it."""

    def to(self, device: torch.device) -> Rows:
        return Rows(self.ids.to(device), self.positions.to(device), self.mask.to(device), self.starts)


def starts_of(row: Sequence[Segment]) -> tuple[int, ...]:
    """The offset of each segment in the row."""
    ends = np.cumsum([len(segment.tokens) for segment in row]).tolist()
    return (0, *ends[:-1])


def lay_out(rows: Sequence[Sequence[Segment]], pad_id: int) -> Rows:
    """Token ids, positions and mask of the rows, padded on the right; padding sees only itself and nothing sees it."""
    lengths = [sum(len(segment.tokens) for segment in row) for row in rows]
    width = max(lengths)
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    positions = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width, width), dtype=np.bool_)
    for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[index, :length] = [token for segment in row for token in segment.tokens]
        positions[index, :length] = _positions(row)
        mask[index, :length, :length] = _visible(row)
    mask |= np.eye(width, dtype=np.bool_)
    return Rows(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(mask)[:, None],
        starts=tuple(starts_of(row) for row in rows),
    )


def _positions(row: Sequence[Segment]) -> NDArray[np.int64]:
    ends: list[int] = []
    parts: list[NDArray[np.int64]] = []
    for segment in row:
        begin = 0 if segment.parent is None else ends[segment.parent]
        ends.append(begin + len(segment.tokens))
        parts.append(np.arange(begin, ends[-1], dtype=np.int64))
    return np.concatenate(parts)


def _visible(row: Sequence[Segment]) -> NDArray[np.bool_]:
    related = np.eye(len(row), dtype=np.bool_)
    for index, segment in enumerate(row):
        if segment.parent is not None:
            related[index] |= related[segment.parent]
    owner = np.repeat(np.arange(len(row)), [len(segment.tokens) for segment in row])
    visible: NDArray[np.bool_] = np.tril(related[np.ix_(owner, owner)])
    return visible
