"""The common shape of a world's pictures, questions and answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from .box import Box
from .questions import TASKS, YesBalance, ask
from .render import sha256

HELD_OUT_SHARES: Final[dict[str, float]] = {
    "counting": 5,
    "existence": 2.5,
    "comparison": 2.5,
    "colour": 1.5,
    "size": 1.5,
    "object": 1.5,
    "spatial": 1,
}
"""Questions of a task in a held-out set, in multiples of the `per_task` that every task gets at least."""


@dataclass(frozen=True)
class Item:
    """One question on one image."""

    image_sha256: str
    """Hex SHA-256 of the PNG bytes."""
    question: str
    """One English sentence."""
    answer: str
    """The right answer: a full sentence that carries its evidence."""
    task: str
    """counting, colour, size, object, existence, spatial or comparison."""
    region: str
    """A finer slice of the task, for tables, such as "count, tower"."""


@dataclass(frozen=True)
class Example:
    """One image (PNG bytes) with its questions."""

    image_sha256: str
    png: bytes
    items: tuple[Item, ...]


class World(Protocol):
    """A source of images with questions. No image of `held_out` is ever in a `deployment`."""

    name: str

    def deployment(self, round_index: int, images: int) -> list[Example]:
        """The traffic of round 0, 1, ..: `images` images of their own, if all rounds are asked for as many.

        Right answers to yes/no questions are as often yes as no. Raises WorldError if no images are left.
        """

    def held_out(self, per_task: int) -> list[Example]:
        """The same for every seed: at least `per_task` questions of each task where the data allow."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image before its questions."""

    image_sha256: str
    png: bytes
    box: Box


def picture(png: bytes, box: Box) -> Picture:
    return Picture(sha256(png), png, box)


def examples(pictures: Iterable[Picture], salt: str) -> Iterable[Example]:
    """Asks about each picture; the questions depend on it and `salt`; yes and no are balanced over all."""
    balance = YesBalance()
    for one in pictures:
        asked = ask(one.box, Random(f"{salt}/{one.image_sha256}"), balance)
        items = tuple(Item(one.image_sha256, a.question, a.answer, a.task, a.region) for a in asked)
        yield Example(one.image_sha256, one.png, items)


def fill(source: Iterable[Example], per_task: int) -> list[Example]:
    """Takes examples until every task has its share, cutting what is over; fewer if the source ends before.

    Raises ValueError if `per_task` is below 1.
    """
    if per_task < 1:
        raise ValueError(f"per_task is {per_task}, at least 1 is needed")
    left = {task: round(per_task * HELD_OUT_SHARES[task]) for task in TASKS}
    taken: list[Example] = []
    for example in source:
        kept: list[Item] = []
        for item in example.items:
            if left[item.task]:
                left[item.task] -= 1
                kept.append(item)
        if kept:
            taken.append(Example(example.image_sha256, example.png, tuple(kept)))
        if not any(left.values()):
            break
    return taken
