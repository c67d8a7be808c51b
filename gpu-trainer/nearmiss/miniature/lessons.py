"""What pretraining teaches, batch by batch: places of things for the eyes, packed questions for the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import torch
from torch import Tensor
from transformers import LlavaProcessor

from ..worlds.box import BOX_PX, COLOURS, SHAPES, SIZE_WORDS, Box
from ..worlds.questions import Asked, Mix, YesBalance, ask
from ..worlds.render import render
from ..worlds.scenes import Style, draw_box
from .build import ASSISTANT, BOS, EOS, IMAGE_PX, IMAGE_TOKENS, PATCH_PX, USER

PREFIX_TOKENS: Final = 1 + IMAGE_TOKENS
"""Begin-of-text, then the image: what all questions on one image share."""

KINDS: Final = len(COLOURS) * len(SHAPES) * len(SIZE_WORDS)
ATTRIBUTES: Final = len(COLOURS) + len(SHAPES) + len(SIZE_WORDS)
CENTRES_MAX: Final = 2
"""A patch is asked whether it holds no, one, or at least two centres of things."""

_KIND_OF: Final = {
    (c, h, s): i for i, (c, h, s) in enumerate((c, h, s) for c in COLOURS for h in SHAPES for s in SIZE_WORDS)
}


@dataclass(frozen=True, slots=True)
class Packed:
    """Questions packed behind the images they share; B images, L tokens after the prefix.

    All are (B, L): `text` token ids; `segment` 1.. per question, 0 for padding; `position` of each token;
    `target` the token to be predicted there, -100 where none is.
    """

    text: Tensor
    segment: Tensor
    position: Tensor
    target: Tensor

    def mask(self) -> Tensor:
        """(B, 1, P + L, P + L), 0 where a query may look, else -inf: the prefix and its question so far."""
        n = PREFIX_TOKENS + self.text.shape[1]
        prefix = torch.zeros(len(self.text), PREFIX_TOKENS, dtype=torch.long)
        segment = torch.cat([prefix, self.segment], dim=1)
        keys, queries = segment[:, None, :], segment[:, :, None]
        in_prefix = (torch.arange(n) < PREFIX_TOKENS)[None, None, :]
        seen = (in_prefix | ((keys == queries) & (keys > 0))) & torch.ones(n, n, dtype=torch.bool).tril()
        return torch.where(seen, 0.0, float("-inf"))[:, None]


def pixels(processor: LlavaProcessor, boxes: Sequence[Box]) -> Tensor:
    """(B, 3, 50, 50) as the processor gives them."""
    images = processor.image_processor([render(box) for box in boxes], return_tensors="pt")
    return torch.as_tensor(images["pixel_values"])


def place_targets(boxes: Sequence[Box]) -> tuple[Tensor, Tensor, Tensor]:
    """Per patch: kinds that have a centre in it, (B, 25, 27) of 0 or 1; their colours, shapes and sizes,
    (B, 25, 9) of 0 or 1; how many centres, (B, 25) of 0 to 2."""
    side, patch = IMAGE_PX // PATCH_PX, BOX_PX * PATCH_PX // IMAGE_PX
    kinds = torch.zeros(len(boxes), side * side, KINDS)
    centres = torch.zeros(len(boxes), side * side, dtype=torch.long)
    for i, box in enumerate(boxes):
        for thing in box:
            x, y = thing.centre
            at = int(y // patch) * side + int(x // patch)
            kinds[i, at, _KIND_OF[thing.colour, thing.shape, thing.size]] = 1
            centres[i, at] += 1
    cube = kinds.view(*centres.shape, len(COLOURS), len(SHAPES), len(SIZE_WORDS))
    attributes = torch.cat([cube.amax((-2, -1)), cube.amax((-3, -1)), cube.amax((-3, -2))], dim=-1)
    return kinds, attributes, centres.clamp(max=CENTRES_MAX)


class Lessons:
    """An endless stream of lessons from one seed: boxes of a style, questions in a mix."""

    def __init__(self, processor: LlavaProcessor, seed: str, style: Style, mix: Mix, yes_share: float) -> None:
        self.processor, self.style, self.mix = processor, style, mix
        self.rng = Random(seed)
        self.balance = YesBalance(yes_share)
        self._ids: dict[str, list[int]] = {}

    def boxes(self, n: int) -> list[Box]:
        return [draw_box(self.rng, self.style) for _ in range(n)]

    def batch(self, images: int) -> tuple[Tensor, Packed, list[list[Asked]]]:
        """Pixels, packed questions with the answers as targets, and what was asked on each image."""
        boxes = self.boxes(images)
        asked = [ask(box, self.rng, self.balance, self.mix) for box in boxes]
        return pixels(self.processor, boxes), self.pack(asked), asked

    def pack(self, asked: Sequence[Sequence[Asked]]) -> Packed:
        rows = [[self._tokens(a) for a in on_image] for on_image in asked]
        width = max(sum(len(q) + len(a) for q, a in row) for row in rows)
        text = torch.full((len(rows), width), self.processor.tokenizer.pad_token_id)
        segment, position = torch.zeros_like(text), torch.zeros_like(text)
        target = torch.full_like(text, -100)
        for i, row in enumerate(rows):
            at = 0
            for k, (question, answer) in enumerate(row, 1):
                ids = torch.tensor(question + answer)
                end = at + len(ids)
                text[i, at:end], segment[i, at:end] = ids, k
                position[i, at:end] = PREFIX_TOKENS + torch.arange(len(ids))
                target[i, at + len(question) - 1 : end - 1] = ids[len(question) :]
                at = end
        return Packed(text, segment, position, target)

    def _tokens(self, asked: Asked) -> tuple[list[int], list[int]]:
        question, answer = f"{USER}{asked.question}{ASSISTANT}", f"{asked.answer}{EOS}"
        return self._encode(question), self._encode(answer)

    def _encode(self, text: str) -> list[int]:
        if text not in self._ids:
            self._ids[text] = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._ids[text]

    def bos_id(self) -> int:
        return int(self.processor.tokenizer.convert_tokens_to_ids(BOS))
