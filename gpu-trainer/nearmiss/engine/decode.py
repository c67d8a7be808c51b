"""Greedy answers to many prompts; what prompts on one image have in common, the image above all, is computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from .layout import Segment, lay_out
from .model import Prompt, Vlm

ANSWER_TOKENS_MAX: Final = 64
"""An answer that has not ended by then is cut."""
TOKENS_PER_BATCH: Final = 4_096
QUESTIONS_PER_ROW: Final = 16


@dataclass(frozen=True, slots=True)
class _Packed:
    """Prompts that share a beginning, which holds all of their images; `members` are their places in the request."""

    images: tuple[str, ...]
    shared: tuple[int, ...]
    rests: tuple[tuple[int, ...], ...]
    members: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.shared) + sum(map(len, self.rests))

    def row(self) -> list[Segment]:
        shared = [Segment(self.shared)] if self.shared else []
        return [*shared, *(Segment(rest, parent=0 if shared else None) for rest in self.rests)]


def greedy_answers(
    vlm: Vlm,
    prompts: Sequence[Prompt],
    tokens_max: int = ANSWER_TOKENS_MAX,
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """The model's most likely answer, token by token, to each prompt, as text without special tokens.

    The same as one `generate(do_sample=False)` per prompt, up to ties. `on_batch` gets the prompts done so far, and may
    raise to stop.
    """
    answers = [""] * len(prompts)
    done = 0
    for rows in _batches(_pack(prompts, vlm.image_token_id)):
        with torch.no_grad():
            decoded = _decode(vlm, rows, tokens_max)
        texts = vlm.tokenizer.batch_decode(decoded, skip_special_tokens=True)
        members = [member for row in rows for member in row.members]
        for member, text in zip(members, texts, strict=True):
            answers[member] = text.strip()
        done += len(members)
        on_batch(done)
    return answers


def _pack(prompts: Sequence[Prompt], image_token: int) -> Iterator[_Packed]:
    by_images: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_images[prompt.images].append(index)
    for images, members in by_images.items():
        for begin in range(0, len(members), QUESTIONS_PER_ROW):
            chunk = members[begin : begin + QUESTIONS_PER_ROW]
            ids = [prompts[member].ids for member in chunk]
            common = _common_prefix(ids)
            if images and image_token not in {token for one in ids for token in one[common:]}:
                yield _Packed(images, ids[0][:common], tuple(one[common:] for one in ids), tuple(chunk))
            else:
                yield from (_Packed(images, (), (one,), (member,)) for one, member in zip(ids, chunk, strict=True))


def _common_prefix(sequences: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all begin with; at least one token of each is left over."""
    length = min(map(len, sequences)) - 1
    first = sequences[0]
    return next((k for k in range(length) if any(one[k] != first[k] for one in sequences)), length)


def _batches(rows: Iterator[_Packed]) -> Iterator[list[_Packed]]:
    batch: list[_Packed] = []
    for row in sorted(rows, key=lambda row: -row.length):
        if batch and (len(batch) + 1) * batch[0].length > TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _decode(vlm: Vlm, packed: Sequence[_Packed], tokens_max: int) -> list[list[int]]:
    """The new token ids of every prompt, row by row. B rows of at most Q prompts each."""
    device = vlm.device
    rows = lay_out([row.row() for row in packed], vlm.pad_id).to(device)
    cache = DynamicCache(config=vlm.model.config.get_text_config())
    hidden = vlm.hidden(rows, [image for row in packed for image in row.images], cache)
    ends = _branch_ends(packed, rows.starts)
    exists = torch.from_numpy(ends >= 0).to(device)
    last = torch.from_numpy(np.maximum(ends, 0)).to(device)
    sees = torch.gather(rows.mask[:, 0], 1, last[:, :, None].expand(-1, -1, rows.mask.shape[-1]))
    positions = rows.positions.gather(1, last)
    own = torch.eye(last.shape[1], dtype=torch.bool, device=device).expand(len(packed), -1, -1)
    hidden = hidden.gather(1, last[:, :, None].expand(-1, -1, hidden.shape[-1]))
    finished = ~exists
    steps: list[Tensor] = []
    end_ids = torch.tensor(sorted(_end_ids(vlm)), device=device)
    for step in range(tokens_max):
        tokens = vlm.model.lm_head(hidden).argmax(-1).masked_fill(finished, vlm.pad_id)
        finished = finished | torch.isin(tokens, end_ids)
        steps.append(tokens)
        if step + 1 == tokens_max or bool(finished.all()):
            break
        sees = torch.cat((sees, own), dim=-1)
        positions = positions + 1
        hidden = vlm.next_hidden(tokens, positions, sees[:, None], cache)
    new = torch.stack(steps, dim=-1)[exists].tolist()
    ending = set(end_ids.tolist())
    return [ids[: next((k for k, token in enumerate(ids) if token in ending), len(ids))] for ids in new]


def _branch_ends(packed: Sequence[_Packed], starts: Sequence[tuple[int, ...]]) -> Any:
    """(B, Q) the place of each prompt's last token in its row; -1 where a row has fewer prompts."""
    ends = np.full((len(packed), max(len(row.rests) for row in packed)), -1, dtype=np.int64)
    for index, (row, offsets) in enumerate(zip(packed, starts, strict=True)):
        begins = offsets[1:] if row.shared else offsets
        for branch, (begin, rest) in enumerate(zip(begins, row.rests, strict=True)):
            ends[index, branch] = begin + len(rest) - 1
    return ends


def _end_ids(vlm: Vlm) -> set[int]:
    """The tokens that end an answer."""
    configured = vlm.model.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return {int(token) for token in (*several, vlm.tokenizer.eos_token_id) if token is not None}
