"""Our own scenes: boxes drawn from a seed, unlimited. Pretraining and the `scenes` world both draw here."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from .box import (
    BOX_PX,
    COLOURS,
    SHAPES,
    SIZE_WORDS,
    THINGS_MAX,
    TOWER_SIZE_PX,
    TOWER_STEP_PX,
    Box,
    Thing,
)

PLACING_TRIES_MAX: Final = 40
"""Attempts to find a free place for one thing before the box is left with fewer."""

TOWER_HEIGHT_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Style:
    """What scenes are like. `counts`: relative weight of 1, 2, 3, .. things in a scattered box."""

    counts: tuple[float, ...] = (1, 1, 1, 1, 1, 1, 1)
    tower_share: float = 0.15
    overlap_px: int = 3
    """Bounding boxes of scattered things may overlap by this many px on each axis; negative is a gap."""
    same_look_share: float = 0.3
    """Share of boxes whose things have two colours or two shapes at most, so that counts repeat."""

    def __post_init__(self) -> None:
        if not 0 < len(self.counts) <= THINGS_MAX:
            raise ValueError(f"a style has 1 to {THINGS_MAX} weights for counts, not {len(self.counts)}")


def draw_box(rng: Random, style: Style) -> Box:
    """One box of at least one thing."""
    if rng.random() < style.tower_share:
        return draw_tower(rng)
    wanted = rng.choices(range(1, len(style.counts) + 1), style.counts)[0]
    colours, shapes = list(COLOURS), list(SHAPES)
    if rng.random() < style.same_look_share:
        rng.shuffle(colours)
        rng.shuffle(shapes)
        colours, shapes = (colours[:2], shapes) if rng.random() < 0.5 else (colours, shapes[:2])
    box: list[Thing] = []
    for _ in range(wanted):
        size = rng.choice(tuple(SIZE_WORDS))
        colour, shape = rng.choice(colours), rng.choice(shapes)
        for _ in range(PLACING_TRIES_MAX):
            x, y = rng.randint(0, BOX_PX - size), rng.randint(0, BOX_PX - size)
            thing = Thing(shape, colour, size, x, y)
            if not any(_overlap(thing, other, style.overlap_px) for other in box):
                box.append(thing)
                break
    return tuple(box)


def draw_tower(rng: Random) -> Box:
    """One to four medium squares stacked on the floor, anywhere along it."""
    x = rng.randint(0, BOX_PX - TOWER_SIZE_PX)
    floor = BOX_PX - TOWER_SIZE_PX
    height = rng.randint(1, TOWER_HEIGHT_MAX)
    return tuple(
        Thing("square", rng.choice(COLOURS), TOWER_SIZE_PX, x, floor - TOWER_STEP_PX * i) for i in range(height)
    )


def _overlap(a: Thing, b: Thing, allowed_px: int) -> bool:
    """True if the bounding boxes share more than `allowed_px` on both axes."""
    across = min(a.x + a.size, b.x + b.size) - max(a.x, b.x)
    down = min(a.y + a.size, b.y + b.size) - max(a.y, b.y)
    return across > allowed_px and down > allowed_px
