"""When two answers say the same, and whether one says yes."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

ANSWERS_REMEMBERED: Final = 1 << 16


@lru_cache(ANSWERS_REMEMBERED)
def normalise(answer: str) -> str:
    """Without differences of case, of spaces, and of the final stop."""
    return " ".join(answer.casefold().split()).rstrip(" .")


def same(answer: str, right: str) -> bool:
    """True if the answers are the same after `normalise`."""
    return normalise(answer) == normalise(right)


def polarity(answer: str) -> bool | None:
    """True for an answer that begins with yes, False for one that begins with no, None for any other."""
    first = normalise(answer).split(" ", 1)[0].rstrip(",.;:!")
    return {"yes": True, "no": False}.get(first)
