"""Batches for tests: questions of the scenes world, with near misses made by changing one word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random

from nearmiss.contract import GateLine, ImagePart, PairLine, TextPart, Turn
from nearmiss.worlds import Example, Item, open_world

WORD_CLASSES = (
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("black", "yellow", "blue"),
    ("circle", "square", "triangle"),
    ("circles", "squares", "triangles"),
    ("small", "medium", "big"),
    ("left", "right"),
    ("top", "bottom"),
    ("above", "below"),
    ("more", "fewer"),
)


def conversation(item: Item) -> tuple[Turn, ...]:
    return (Turn(role="user", content=(ImagePart(sha256=item.image_sha256), TextPart(text=item.question))),)


def near_misses(answer: str) -> Iterator[str]:
    """The answer with one word changed into another of its kind, and yes into no."""
    if answer.startswith("Yes, there is a "):
        yield answer.replace("Yes, there is a ", "No, there is no ")
    if answer.startswith("No, there is no "):
        yield answer.replace("No, there is no ", "Yes, there is a ")
    words = answer.rstrip(".").split()
    for place, word in enumerate(words):
        for kind in WORD_CLASSES:
            if word in kind:
                yield from (
                    " ".join([*words[:place], other, *words[place + 1 :]]) + "." for other in kind if other != word
                )


def pairs_of(
    examples: list[Example],
    groups: int,
    per_group: int,
    seed: int = 0,
    own: Callable[[Item], str] = lambda item: item.answer,
) -> list[PairLine]:
    """The pairs of up to `groups` questions, at most `per_group` for each.

    `own` is what the model answers itself: where it is wrong, it is the first rejection.
    """
    rng = Random(seed)
    items = [item for example in examples for item in example.items]
    pairs: list[PairLine] = []
    for item in rng.sample(items, len(items)):
        wrong = [one for one in dict.fromkeys(near_misses(item.answer)) if one != own(item)]
        wrong = rng.sample(wrong, len(wrong))
        if own(item) != item.answer:
            wrong.insert(0, own(item))
        if not wrong or groups == 0:
            continue
        groups -= 1
        group = sha256(f"{item.image_sha256}{item.question}".encode()).hexdigest()[:32]
        for k, rejected in enumerate(wrong[:per_group]):
            pairs.append(
                PairLine(
                    id=sha256(f"{group}{k}".encode()).hexdigest()[:32],
                    group=group,
                    region=f"{item.task}/attribute/en/image",
                    task=item.task,
                    error_type="attribute",
                    level=2,
                    origin="builtin",
                    conversation=conversation(item),
                    chosen=item.answer,
                    rejected=rejected,
                    use="train",
                    predicted=len(pairs) % 10 / 10,
                )
            )
    return pairs


def sentinels_of(pairs: list[PairLine]) -> list[PairLine]:
    """The pairs as sentinels: as they are, and with their answers swapped."""
    return [
        line
        for pair in pairs
        for line in (
            pair.model_copy(update={"id": f"sentinel:{pair.id}", "use": "score"}),
            pair.model_copy(
                update={
                    "id": f"sentinel:{pair.id}:swapped",
                    "use": "score",
                    "chosen": pair.rejected,
                    "rejected": pair.chosen,
                }
            ),
        )
    ]


def gate_of(examples: list[Example], limit: int) -> list[GateLine]:
    items = [item for example in examples for item in example.items][:limit]
    return [
        GateLine(
            id=sha256(f"gate{item.image_sha256}{item.question}".encode()).hexdigest()[:32],
            task=item.task,
            region=f"{item.task}/attribute/en/image",
            conversation=conversation(item),
            answer=item.answer,
        )
        for item in items
    ]


def images_of(*sets: list[Example]) -> dict[str, bytes]:
    return {example.image_sha256: example.png for examples in sets for example in examples}


def scenes(round_index: int, images: int) -> list[Example]:
    return open_world("scenes", None, seed=0).deployment(round_index, images)
