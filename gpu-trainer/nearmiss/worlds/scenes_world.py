"""The `scenes` world: generated boxes, fuller and messier than what the miniature was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final

from .items import Example, Picture, examples, fill, picture
from .render import render, to_png
from .scenes import Style, draw_box
from .split import SCENES_HELD_OUT_SHARE, held_out_by_hash

DEPLOYED: Final = Style(counts=(1, 1, 1, 1, 1, 1, 0.7), tower_share=0.15, overlap_px=3)


class ScenesWorld:
    """Unlimited; deployments differ by seed, the held-out images are the same for all seeds."""

    name = "scenes"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._deployed: list[Picture] = []
        self._stream = _distinct(f"deployment/{seed}", held_out=False)

    def deployment(self, round_index: int, images: int) -> list[Example]:
        first, end = round_index * images, (round_index + 1) * images
        self._deployed += islice(self._stream, max(0, end - len(self._deployed)))
        return list(examples(self._deployed[first:end], f"deployment/{self.seed}"))

    def held_out(self, per_task: int) -> list[Example]:
        return fill(examples(_distinct("held-out", held_out=True), "held-out"), per_task)


def _distinct(seed: str, held_out: bool) -> Iterator[Picture]:
    """Endless pictures of one side of the split, none twice."""
    rng, seen = Random(seed), set[str]()
    while True:
        box = draw_box(rng, DEPLOYED)
        one = picture(to_png(render(box)), box)
        if one.image_sha256 not in seen and held_out_by_hash(one.image_sha256, SCENES_HELD_OUT_SHARE) == held_out:
            seen.add(one.image_sha256)
            yield one
