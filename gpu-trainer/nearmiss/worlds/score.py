"""How right a model's answers are, by task and by region. Pure: answers in, figures out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..answers import polarity, same
from .items import Example, Item


@dataclass
class Tally:
    """`right` of `n` answers."""

    n: int = 0
    right: int = 0

    @property
    def share(self) -> float:
        """0..1; 0 where nothing was asked."""
        return self.right / self.n if self.n else 0.0

    def add(self, right: bool) -> None:
        self.n += 1
        self.right += right


@dataclass
class Score:
    """Exact-match accuracy in all, per task and region, and how often existence is said and truly is yes."""

    all: Tally = field(default_factory=Tally)
    tasks: dict[str, Tally] = field(default_factory=dict)
    regions: dict[str, Tally] = field(default_factory=dict)
    said_yes: Tally = field(default_factory=Tally)
    true_yes: Tally = field(default_factory=Tally)

    def table(self) -> str:
        """Lines of name, n and share, for people."""
        rows = [*sorted(self.tasks.items()), *((f"  {name}", t) for name, t in sorted(self.regions.items()))]
        lines = [f"{name:<28}{t.n:>6}{t.share:>8.3f}" for name, t in [*rows, ("all", self.all)]]
        return "\n".join([*lines, f"existence: said yes {self.said_yes.share:.3f}, true {self.true_yes.share:.3f}"])


def score(items: Iterable[Item], answers: Iterable[str]) -> Score:
    """Scores one answer per item. Raises ValueError if there are more of one than of the other."""
    result = Score()
    for item, answer in zip(items, answers, strict=True):
        right = same(answer, item.answer)
        result.all.add(right)
        result.tasks.setdefault(item.task, Tally()).add(right)
        result.regions.setdefault(item.region, Tally()).add(right)
        if item.task == "existence":
            result.said_yes.add(polarity(answer) is True)
            result.true_yes.add(polarity(item.answer) is True)
    return result


def accuracy(answer: Callable[[Sequence[bytes], Sequence[Sequence[str]]], list[list[str]]], on: list[Example]) -> Score:
    """Asks a model everything; `answer` takes PNGs and the questions on each, as `Miniature.answer` does."""
    answers = answer([e.png for e in on], [[i.question for i in e.items] for e in on])
    return score((i for e in on for i in e.items), (a for row in answers for a in row))
