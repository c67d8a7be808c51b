"""The `nlvr` world: real boxes of Cornell NLVR (Suhr et al. 2017), cropped from its pictures of three.

Deployments show images of `dev`, the held-out set images of `test`. A box that occurs in both (all towers do)
is held out or deployed by its content, never both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any, Final

from PIL import Image, UnidentifiedImageError

from .box import BOX_PX, Box, Colour, Thing, WorldError
from .items import Example, Picture, examples, fill, picture
from .render import to_png
from .split import SHARED_HELD_OUT_SHARE, held_out_by_hash

BOXES: Final = 3
BOX_STEP_PX: Final = 150
"""The boxes of a picture begin at x = 0, 150 and 300 px."""

PERMUTATIONS: Final = tuple(permutations(range(BOXES)))
"""`{split}-{identifier}-{k}.png` shows, from left to right, the described boxes PERMUTATIONS[k]."""

COLOURS: Final[dict[str, Colour]] = {"black": "black", "yellow": "yellow", "#0099ff": "blue", "blue": "blue"}
"""Spellings of colours in the descriptions, in lower case."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One box in a file: its description and where its pixels are."""

    box: Box
    path: Path
    place: int
    """0, 1 or 2, from the left."""

    def picture(self) -> Picture:
        """The box's pixels as a PNG of 100 x 100 px. Raises WorldError if the file is missing or broken."""
        try:
            with Image.open(self.path) as image:
                x = self.place * BOX_STEP_PX
                pixels = image.convert("RGB").crop((x, 0, x + BOX_PX, BOX_PX))
        except (OSError, UnidentifiedImageError) as error:
            raise WorldError(f"nlvr: cannot read the picture {self.path}: {error}") from error
        return picture(to_png(pixels), self.box)


def read_box(things: list[dict[str, Any]]) -> Box:
    """A box from its structured description. Raises KeyError on an unknown colour or a missing field."""
    return tuple(
        Thing(t["type"], COLOURS[t["color"].lower()], t["size"], t["x_loc"], t["y_loc"])
        for t in sorted(things, key=lambda t: (t["y_loc"], t["x_loc"]))
    )


def read_crops(data: Path, split: str, permutation: int = 0) -> list[Crop]:
    """All boxes of `data/{split}/{split}.json`, three a picture; empty boxes are left out.

    Raises WorldError, one line, if the folder is not as expected.
    """
    file = data / split / f"{split}.json"
    if not file.is_file():
        raise WorldError(
            f"nlvr: no file {file}; the data folder must hold dev/dev.json, test/test.json and their images/"
        )
    crops: dict[tuple[Path, int], Crop] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            name = f"{split}-{record['identifier']}-{permutation}.png"
            path = data / split / "images" / str(record["directory"]) / name
            described = [read_box(things) for things in record["structured_rep"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorldError(f"nlvr: line {number} of {file} is not a description of boxes: {error!r}") from error
        for place, box_index in enumerate(PERMUTATIONS[permutation]):
            if described[box_index]:
                crops[path, place] = Crop(described[box_index], path, place)
    return list(crops.values())


class NlvrWorld:
    """The images under a folder with `dev` and `test`; each distinct box counts once."""

    name = "nlvr"

    def __init__(self, data: Path, seed: int) -> None:
        self.seed = seed
        dev, test = (_by_content(read_crops(data, split)) for split in ("dev", "test"))
        shared = {
            box: held_out_by_hash(crop.picture().image_sha256, SHARED_HELD_OUT_SHARE)
            for box, crop in dev.items()
            if box in test
        }
        self._deployed = [crop for box, crop in dev.items() if not shared.get(box, False)]
        self._held_out = [crop for box, crop in test.items() if shared.get(box, True)]
        Random(f"deployment/{seed}").shuffle(self._deployed)
        Random("held-out").shuffle(self._held_out)

    def deployment(self, round_index: int, images: int) -> list[Example]:
        first, end = round_index * images, (round_index + 1) * images
        if end > len(self._deployed):
            raise WorldError(
                f"nlvr: round {round_index} with {images} images needs {end} of dev, which has {len(self._deployed)}"
            )
        return list(examples(_pictures(self._deployed[first:end]), f"deployment/{self.seed}"))

    def held_out(self, per_task: int) -> list[Example]:
        return fill(examples(_pictures(self._held_out), "held-out"), per_task)


def _by_content(crops: list[Crop]) -> dict[Box, Crop]:
    """The first crop of each distinct box; equal descriptions have equal pixels, and the other way round."""
    distinct: dict[Box, Crop] = {}
    for crop in crops:
        distinct.setdefault(crop.box, crop)
    return distinct


def _pictures(crops: list[Crop]) -> Iterator[Picture]:
    return (crop.picture() for crop in crops)
