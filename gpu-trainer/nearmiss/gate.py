"""The gate: a candidate replaces the champion only for answers that got measurably better, and none measurably worse.

Both answer the same held-out questions; an answer is right when it equals the right one up to case, spaces and the
final stop. Reward accuracy and margin play no part: they can rise while answers collapse.

The rule, on bounds that are each one-sided at the policy's confidence (`paired.change_bounds`):
- a task of at least `guardMinItems` items *fell* when it lost more than twice `guardEpsilon` and its upper bound is
  below 0, or when it lost more than `guardEpsilon` and its upper bound is below 0 even at the confidence that stands up
  to looking at all m tasks (confidence ^ (1/m), Sidak 1967): a great loss needs ordinary evidence, a small one more;
- it *held* when its lower bound is not below -epsilon; a task between the two, or of fewer items, is *too small to
  say*, which blocks nothing but is said in the reasons when the loss seen is above epsilon;
- rejected: an alarm, a task that fell, or an upper bound over all items below 0;
- promoted: a lower bound over all items above 0; inconclusive: anything else, or fewer than `minItems` items.

At 95 %, epsilon 0.03 and seven tasks (40,000 simulated tasks a cell; besides the true loss, 2 % and 5 % of the answers
are broken and as many fixed by chance):

    items   fell though nothing changed   seen: true loss 0.05   0.08          0.12          0.20
       40           0.02 - 0.05                0.27 - 0.19       0.44 - 0.33   0.64 - 0.52   0.90 - 0.80
      100           0.00 - 0.02                0.31 - 0.33       0.68 - 0.59   0.93 - 0.84   1.00 - 0.99
      200           0.00 - 0.01                0.48 - 0.33       0.85 - 0.72   0.99 - 0.96   1.00
      400           0.00 - 0.01                0.84 - 0.56       0.99 - 0.92   1.00          1.00

With six unchanged tasks of 96 to 240 items beside one that gains, chance blocks 3, 4 and 9 % of the gates if it breaks
2, 3 and 5 % of the answers; with tasks of 48 to 80 items 9, 16 and 22 %. (A lower bound above -epsilon in every task,
as a rule, would block two of three for one unchanged task of 100.) So a task of fewer than about 100 items is guarded
against collapse, not against erosion.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from .answers import polarity, same
from .contract import GatePolicy, GateResult, GateSlice, Guard, Verdict, YesRate
from .paired import change_bounds

EPSILONS_OF_A_GREAT_LOSS: Final = 2


@dataclass(frozen=True, slots=True)
class Answered:
    """One item with the answers of both models."""

    task: str
    right: str
    before: str
    after: str

    @property
    def right_before(self) -> bool:
        return same(self.before, self.right)

    @property
    def right_after(self) -> bool:
        return same(self.after, self.right)


def judge(
    items: Sequence[Answered], chosen_log_ratio: float, policy: GatePolicy, alarms: Iterable[str] = ()
) -> GateResult:
    """The verdict on a candidate.

    `chosen_log_ratio` is the mean over the trained pairs of the chosen answer's log-probability after minus before, in
    nats; `alarms` are those that training already raised.
    """
    (whole,) = slices_of(items, ["all"] * len(items), policy) or (_slice("all", [], policy, 1),)
    slices = slices_of(items, [item.task for item in items], policy)
    yes = yes_rate(items)
    raised = (*alarms, *_alarms(chosen_log_ratio, yes, policy))
    verdict, reasons = _verdict(whole, slices, raised, policy)
    return GateResult(verdict=verdict, reasons=reasons, all=whole, slices=slices, yes_rate=yes, alarms=raised)


def yes_rate(items: Iterable[Answered]) -> YesRate:
    """Shares of "yes" among the items whose right answer begins with yes or no."""
    asked = [item for item in items if polarity(item.right) is not None]
    if not asked:
        return YesRate(n=0, before=None, after=None, truth=None)

    def share(answer: Callable[[Answered], str]) -> float:
        return sum(polarity(answer(item)) is True for item in asked) / len(asked)

    return YesRate(
        n=len(asked),
        before=share(lambda item: item.before),
        after=share(lambda item: item.after),
        truth=share(lambda item: item.right),
    )


def slices_of(items: Sequence[Answered], names: Sequence[str], policy: GatePolicy) -> tuple[GateSlice, ...]:
    """The items by name, one name an item, in the order of the names."""
    members: dict[str, list[Answered]] = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        members[name].append(item)
    guarded = sum(len(own) >= policy.guard_min_items for own in members.values())
    return tuple(_slice(name, members[name], policy, guarded) for name in sorted(members))


def _slice(name: str, items: Sequence[Answered], policy: GatePolicy, guarded: int) -> GateSlice:
    """The slice's counts; `guarded` is how many slices are looked at for a fall."""
    n = len(items)
    outcomes = Counter((item.right_before, item.right_after) for item in items)
    fixed, broken, kept = outcomes[False, True], outcomes[True, False], outcomes[True, True]
    lower, upper = change_bounds(n, fixed, broken, policy.confidence) if n else (None, None)
    return GateSlice(
        name=name,
        n=n,
        right_before=kept + broken,
        right_after=kept + fixed,
        fixed=fixed,
        broken=broken,
        lower=lower,
        upper=upper,
        guard=_guard(n, fixed, broken, policy, guarded),
    )


def _guard(n: int, fixed: int, broken: int, policy: GatePolicy, guarded: int) -> Guard:
    if n < max(1, policy.guard_min_items):
        return "too small to say"
    loss = (broken - fixed) / n
    lower, upper = change_bounds(n, fixed, broken, policy.confidence)
    if loss > policy.guard_epsilon and upper < 0:
        great = loss > EPSILONS_OF_A_GREAT_LOSS * policy.guard_epsilon
        if great or change_bounds(n, fixed, broken, policy.confidence ** (1 / max(1, guarded)))[1] < 0:
            return "fell"
    return "held" if lower >= -policy.guard_epsilon else "too small to say"


def _alarms(chosen_log_ratio: float, yes: YesRate, policy: GatePolicy) -> list[str]:
    alarms: list[str] = []
    if not isfinite(chosen_log_ratio):
        alarms.append("the trained model's log-probabilities are not finite numbers")
    elif chosen_log_ratio < policy.chosen_log_ratio_alarm:
        alarms.append(
            f"the chosen answers' log-probability changed by {chosen_log_ratio:+.2f} nats on average, "
            f"the alarm is at {policy.chosen_log_ratio_alarm:+.2f}"
        )
    if yes.n >= policy.guard_min_items and yes.before is not None and yes.after is not None and yes.truth is not None:
        drift = abs(yes.after - yes.truth) - abs(yes.before - yes.truth)
        if drift > policy.yes_rate_drift:
            alarms.append(
                f'the share of "yes" moved from {yes.before:.3f} to {yes.after:.3f}, where {yes.truth:.3f} is right '
                f"(n = {yes.n}); the limit is {policy.yes_rate_drift:.3f} away from the truth"
            )
    return alarms


def _verdict(
    whole: GateSlice, slices: Sequence[GateSlice], alarms: Sequence[str], policy: GatePolicy
) -> tuple[Verdict, tuple[str, ...]]:
    fell = [f"{_described(one)}: it fell" for one in slices if one.guard == "fell"]
    seen = [
        f"{_described(one)}: too small to say"
        for one in slices
        if one.guard == "too small to say" and one.n and (one.broken - one.fixed) / one.n > policy.guard_epsilon
    ]
    summary = _described(whole)
    if alarms or fell:
        return "rejected", (*alarms, *fell, summary)
    if whole.n < policy.min_items or whole.lower is None or whole.upper is None:
        return "inconclusive", (f"{whole.n} items, at least {policy.min_items} are needed to judge", *seen)
    if whole.upper < 0:
        return "rejected", (f"{summary}: worse", *seen)
    if whole.lower > 0:
        return "promoted", (f"{summary}: better", *seen)
    return "inconclusive", (f"{summary}: no measurable gain", *seen)


def _described(one: GateSlice) -> str:
    if not one.n or one.lower is None or one.upper is None:
        return f"{one.name}: no items"
    return (
        f"{one.name}: {one.right_before / one.n:.3f} -> {one.right_after / one.n:.3f} of {one.n} items, "
        f"fixed {one.fixed}, broken {one.broken}, change between {one.lower:+.3f} and {one.upper:+.3f}"
    )
