"""What a picture shows: a box of 100 x 100 px with up to nine coloured shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Shape = Literal["circle", "square", "triangle"]
Colour = Literal["black", "yellow", "blue"]

SHAPES: Final[tuple[Shape, ...]] = ("circle", "square", "triangle")
COLOURS: Final[tuple[Colour, ...]] = ("black", "yellow", "blue")
SIZE_WORDS: Final[dict[int, str]] = {10: "small", 20: "medium", 30: "big"}
"""Side of a thing's bounding box in px -> the word for it."""

BOX_PX: Final = 100
THINGS_MAX: Final = 9

TOWER_X_PX: Final = 40
TOWER_SIZE_PX: Final = 20
TOWER_STEP_PX: Final = 21
"""Squares of a tower stand 21 px apart: one px of background stays visible between them."""


class WorldError(Exception):
    """A world cannot be opened or has no more images; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape. `x`, `y`: its bounding box's top left corner in px; `size`: the side, 10, 20 or 30 px."""

    shape: Shape
    colour: Colour
    size: int
    x: int
    y: int

    @property
    def size_word(self) -> str:
        return SIZE_WORDS[self.size]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y) in px."""
        return self.x + self.size / 2, self.y + self.size / 2


Box = tuple[Thing, ...]
"""The things of a box, in drawing order."""


def is_tower(box: Box) -> bool:
    """True if the box is squares stacked on the floor, one column, from one square on."""
    if not box or any(t.shape != "square" or t.size != TOWER_SIZE_PX or t.x != box[0].x for t in box):
        return False
    floor = BOX_PX - TOWER_SIZE_PX
    return sorted(t.y for t in box) == [floor - TOWER_STEP_PX * i for i in reversed(range(len(box)))]
