"""Questions and full-sentence answers about a box, asked only where the box leaves no doubt.

Every answer carries its evidence ("Yes, there is a black square."): changing one span makes a near miss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations, product
from random import Random
from typing import Final

from .box import COLOURS, SHAPES, SIZE_WORDS, Box, Colour, Shape, Thing, is_tower

NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

TASKS: Final = ("counting", "colour", "size", "object", "existence", "spatial", "comparison")

COUNT_QUESTIONS: Final = (
    "How many objects are there?",
    "How many objects are in the box?",
    "How many objects can you see?",
)

RANK_MARGIN_PX: Final = 8
"""Two centres nearer than this on an axis have no clear order on it."""

RELATION_MARGIN_PX: Final = 20
"""One thing lies beside or above another only from this distance of their centres on ..."""

RELATION_RATIO: Final = 1.5
"""... and only if the distance on that axis is this many times the one on the other."""

CAPTION_ROW_PX: Final = 20
"""A caption goes through the box in rows of this height, each from left to right."""

CORNER_MARGIN_PX: Final = 12
"""A thing is in a corner of the box if its centre is this far from both middle lines."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its right answer, not yet tied to an image; the fields mean what they do in `Item`."""

    question: str
    answer: str
    task: str
    region: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A description that things may fit, such as "small yellow circle"; None leaves an attribute open."""

    size: int | None = None
    colour: Colour | None = None
    shape: Shape | None = None

    def fits(self, thing: Thing) -> bool:
        return (
            self.size in (None, thing.size)
            and self.colour in (None, thing.colour)
            and self.shape in (None, thing.shape)
        )

    def count(self, box: Box) -> int:
        return sum(map(self.fits, box))

    def name(self, plural: bool = False) -> str:
        words = [SIZE_WORDS[self.size]] if self.size else []
        words += [self.colour] if self.colour else []
        return " ".join([*words, (self.shape or "object") + ("s" if plural else "")])


RANKS: Final[dict[str, tuple[Callable[[Thing], float], float]]] = {
    "biggest object": (lambda t: -t.size, 1),
    "smallest object": (lambda t: t.size, 1),
    "object at the top": (lambda t: t.centre[1], RANK_MARGIN_PX),
    "object at the bottom": (lambda t: -t.centre[1], RANK_MARGIN_PX),
}
"""Name of the thing that comes first -> (what it is first in, by how many px the next one must be behind)."""

BY_COLOUR: Final = tuple(Kind(colour=c) for c in COLOURS)
BY_SHAPE: Final = tuple(Kind(shape=s) for s in SHAPES)
BY_BOTH: Final = tuple(Kind(colour=c, shape=s) for c, s in product(COLOURS, SHAPES))


@dataclass
class YesBalance:
    """Keeps a set's yes/no questions at a share of right yeses, whatever single boxes allow."""

    yes_share: float = 0.5
    yes: int = field(default=0)
    asked: int = field(default=0)

    def want_yes(self) -> bool:
        return self.yes <= self.yes_share * self.asked

    def note(self, yes: bool) -> None:
        self.asked += 1
        self.yes += yes


def article(noun: str) -> str:
    """`noun` with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def count_sentence(n: int, kind: Kind) -> str:
    """ "There are two yellow circles." for n = 2; zero is "no". `n` is 0 to 9."""
    if n == 1:
        return f"There is one {kind.name()}."
    return f"There are {NUMBERS[n] if n else 'no'} {kind.name(plural=True)}."


def count_all(box: Box, rng: Random, n: int = 1) -> list[Asked]:
    """Up to three wordings of how many objects the box holds."""
    region = "count, tower" if is_tower(box) else "count, scattered"
    answer = count_sentence(len(box), Kind())
    return [Asked(q, answer, "counting", region) for q in rng.sample(COUNT_QUESTIONS, n)]


def count_kinds(box: Box, rng: Random, n: int = 1) -> list[Asked]:
    """How many things of a colour, a shape, or both; a kind that is not there at most once."""
    present = [k for group in (BY_COLOUR, BY_SHAPE, BY_BOTH) for k in group if k.count(box)]
    absent = [k for k in BY_BOTH if not k.count(box)]
    kinds = rng.sample(present, min(n, len(present)))
    if absent and rng.random() < 0.25 * n:
        kinds = [*kinds[: n - 1], rng.choice(absent)]
    return [
        Asked(
            f"How many {k.name(plural=True)} are there?",
            count_sentence(k.count(box), k),
            "counting",
            "count of colour and shape",
        )
        for k in kinds
    ]


def existence(box: Box, rng: Random, balance: YesBalance) -> Asked:
    """Is there such a thing? Absent kinds are mostly near: colour and shape are there, but not together."""
    kinds = [*BY_BOTH, *BY_BOTH, *BY_SHAPE, *BY_COLOUR]
    present = [k for k in kinds if k.count(box)]
    absent = [k for k in kinds if not k.count(box)]
    near = [k for k in absent if Kind(colour=k.colour).count(box) and Kind(shape=k.shape).count(box)]
    yes = balance.want_yes() or not absent
    kind = rng.choice(present) if yes else rng.choice(near if near and rng.random() < 0.6 else absent)
    balance.note(yes)
    noun = article(kind.name())
    answer = f"Yes, there is {noun}." if yes else f"No, there is no {kind.name()}."
    return Asked(f"Is there {noun}?", answer, "existence", "existence")


def comparison(box: Box, rng: Random) -> Asked:
    """More, fewer or as many of one colour or shape as of another; each possible outcome is as likely."""
    pairs = [*permutations(BY_COLOUR, 2), *permutations(BY_SHAPE, 2)]
    outcomes: dict[str, list[str]] = {}
    for a, b in pairs:
        n, m = a.count(box), b.count(box)
        if n == m == 0:
            continue
        first, second = a.name(plural=True), b.name(plural=True)
        sentence = (
            f"There are as many {first} as {second}."
            if n == m
            else f"There are {'more' if n > m else 'fewer'} {first} than {second}."
        )
        question = f"Are there more {first} or more {second}?"
        outcomes.setdefault(sentence.split()[2], []).append(f"{question}|{sentence}")
    question, answer = rng.choice(outcomes[rng.choice(sorted(outcomes))]).split("|")
    return Asked(question, answer, "comparison", "comparison")


def _by_rank(box: Box) -> list[tuple[str, Thing]]:
    """Names of the things that lead the box on a rank by a clear margin, with those things."""
    found: list[tuple[str, Thing]] = []
    if len(box) > 1:
        for name, (rank, margin) in RANKS.items():
            first, second = sorted(box, key=rank)[:2]
            if rank(second) - rank(first) >= margin:
                found.append((name, first))
    return found


def _unique(box: Box, kinds: tuple[Kind, ...]) -> list[tuple[str, Thing]]:
    """Names that fit exactly one thing of the box, with that thing."""
    return [(k.name(), next(filter(k.fits, box))) for k in kinds if k.count(box) == 1]


def colour(box: Box, rng: Random) -> Asked | None:
    """The colour of a thing named by its shape, size or rank; None if no name is unique."""
    sized = tuple(Kind(size=s, shape=h) for s in SIZE_WORDS for h in SHAPES)
    named = _by_rank(box) + _unique(box, (*BY_SHAPE, *sized)) + _only(box)
    if not named:
        return None
    name, thing = rng.choice(named)
    return Asked(f"What colour is the {name}?", f"The {name} is {thing.colour}.", "colour", "colour")


def size(box: Box, rng: Random) -> Asked | None:
    """The size of a thing named by its colour and shape; None if no name is unique."""
    named = _unique(box, (*BY_COLOUR, *BY_SHAPE, *BY_BOTH, *BY_BOTH)) + _only(box)
    if not named:
        return None
    name, thing = rng.choice(named)
    return Asked(f"What size is the {name}?", f"The {name} is {thing.size_word}.", "size", "size")


def shape(box: Box, rng: Random) -> Asked | None:
    """The shape of a thing named by its colour, size or rank; None if no name is unique."""
    sized = tuple(Kind(size=s, colour=c) for s in SIZE_WORDS for c in COLOURS)
    named = _by_rank(box) + _unique(box, (*BY_COLOUR, *sized)) + _only(box)
    if not named:
        return None
    name, thing = rng.choice(named)
    return Asked(f"What shape is the {name}?", f"The {name} is a {thing.shape}.", "object", "shape")


def _only(box: Box) -> list[tuple[str, Thing]]:
    return [("object", box[0])] if len(box) == 1 else []


def spatial(box: Box, rng: Random) -> Asked | None:
    """Where a thing is, seen from another or in the box; None if no pair or corner is clear."""
    named = _unique(box, BY_BOTH)
    found: list[tuple[str, str]] = []
    for (a, s), (b, t) in permutations(named, 2):
        words = relation(s, t)
        if words:
            found.append((f"Where is the {a} relative to the {b}?", f"The {a} is {words} the {b}."))
    corners = [
        (f"Where in the box is the {name}?", f"The {name} is at the {words}.")
        for name, thing in named
        if (words := corner(thing))
    ]
    pools = [pool for pool in (found, corners) if pool]
    if not pools:
        return None
    question, answer = rng.choice(rng.choice(pools))
    return Asked(question, answer, "spatial", "position")


def relation(a: Thing, b: Thing) -> str | None:
    """Where `a` is, seen from `b`: "left of", "right of", "above", "below", or None where it is not clear."""
    dx, dy = a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]
    far, near = max(abs(dx), abs(dy)), min(abs(dx), abs(dy))
    if far < RELATION_MARGIN_PX or far < RELATION_RATIO * near:
        return None
    if abs(dx) > abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def corner(thing: Thing) -> str | None:
    """The quarter of the box a thing is in, such as "top left", or None near a middle line."""
    dx, dy = thing.centre[0] - 50, thing.centre[1] - 50
    if min(abs(dx), abs(dy)) < CORNER_MARGIN_PX:
        return None
    return f"{'top' if dy < 0 else 'bottom'} {'left' if dx < 0 else 'right'}"


def caption(box: Box) -> Asked:
    """The whole box as a text is read, row by row. A lesson for pretraining, not a task of the worlds."""
    ordered = sorted(box, key=lambda t: (t.centre[1] // CAPTION_ROW_PX, t.centre[0]))
    nouns = [article(Kind(t.size, t.colour, t.shape).name()) for t in ordered]
    listed = " and ".join(filter(None, [", ".join(nouns[:-1]), nouns[-1]]))
    return Asked("Describe the box.", f"There is {listed}.", "captioning", "caption")


@dataclass(frozen=True, slots=True)
class Mix:
    """How many questions of each sort one image gets, where its box allows them."""

    count_all: int = 2
    count_kinds: int = 2
    existence: int = 2
    comparison: int = 2
    colour: int = 1
    size: int = 1
    shape: int = 1
    spatial: int = 1
    caption: int = 0


STANDARD: Final = Mix()


def ask(box: Box, rng: Random, balance: YesBalance, mix: Mix = STANDARD) -> list[Asked]:
    """Questions about a box of at least one thing, no question twice, in the mix's proportions."""
    asked = count_all(box, rng, mix.count_all) + count_kinds(box, rng, mix.count_kinds)
    asked += [existence(box, rng, balance) for _ in range(mix.existence)]
    asked += [comparison(box, rng) for _ in range(mix.comparison)]
    for draw, n in ((colour, mix.colour), (size, mix.size), (shape, mix.shape), (spatial, mix.spatial)):
        asked += [one for _ in range(n) if (one := draw(box, rng))]
    asked += [caption(box)] * min(mix.caption, 1)
    return list({a.question: a for a in asked}.values())
