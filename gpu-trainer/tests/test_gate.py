"""The gate: what promotes, what never does, and how often chance alone decides."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearmiss.answers import polarity, same
from nearmiss.contract import GatePolicy
from nearmiss.gate import Answered, judge, yes_rate
from nearmiss.paired import change_bounds

POLICY = GatePolicy()
Z = 1.6448536269514722


def items(task: str, kept: int = 0, fixed: int = 0, broken: int = 0, wrong: int = 0) -> list[Answered]:
    """Items of one task: right in both, wrong then right, right then wrong, wrong in both."""
    right, other = "There are two circles.", "There are three circles."
    return [
        *[Answered(task, right, right, right)] * kept,
        *[Answered(task, right, other, right)] * fixed,
        *[Answered(task, right, right, other)] * broken,
        *[Answered(task, right, other, other)] * wrong,
    ]


def yes_no(truth: bool, before: bool, after: bool, n: int) -> list[Answered]:
    words = {True: "Yes, there is a circle.", False: "No, there is no circle."}
    return [Answered("existence", words[truth], words[before], words[after])] * n


counts = st.tuples(st.integers(0, 300), st.integers(0, 80), st.integers(0, 80), st.integers(0, 300))


@given(n=st.integers(1, 2000), fixed=st.integers(0, 300), broken=st.integers(0, 300), confidence=st.floats(0.6, 0.999))
def test_bounds_hold_the_change_and_agree_with_mcnemar(n: int, fixed: int, broken: int, confidence: float) -> None:
    n = max(n, fixed + broken)
    lower, upper = change_bounds(n, fixed, broken, confidence)
    change = (fixed - broken) / n
    assert -1 <= lower <= change + 1e-9
    assert change - 1e-9 <= upper <= 1
    mirrored = change_bounds(n, broken, fixed, confidence)
    assert mirrored == pytest.approx((-upper, -lower), abs=1e-6)
    wider = change_bounds(n, fixed, broken, min(0.9999, confidence + 0.05))
    assert wider[0] <= lower + 1e-9
    assert wider[1] >= upper - 1e-9


@given(n=st.integers(50, 2000), fixed=st.integers(0, 25), broken=st.integers(0, 25))
def test_lower_bound_is_above_0_exactly_when_mcnemars_test_says_better(n: int, fixed: int, broken: int) -> None:
    lower, upper = change_bounds(n, fixed, broken, 0.95)
    statistic = (fixed - broken) / sqrt(fixed + broken) if fixed + broken else 0.0
    if abs(abs(statistic) - Z) > 1e-6:
        assert (lower > 0) == (statistic > Z)
        assert (upper < 0) == (statistic < -Z)


@pytest.mark.parametrize("n", [1, 44, 1500])
def test_bounds_without_any_change_are_those_of_the_formula(n: int) -> None:
    """With nothing fixed and nothing broken, Tango's interval is -z^2 / (n + z^2) to z^2 / (n + z^2)."""
    edge = Z**2 / (n + Z**2)
    assert change_bounds(n, 0, 0, 0.95) == pytest.approx((-edge, edge), abs=1e-6)


@given(st.lists(st.tuples(st.sampled_from(["counting", "colour", "size"]), counts), min_size=1, max_size=3))
def test_the_verdict_follows_from_the_numbers(tasks) -> None:
    answered = [one for task, (k, f, b, w) in tasks for one in items(task, k, f, b, w)]
    result = judge(answered, 0.0, POLICY)
    fell = [one.name for one in result.slices if one.guard == "fell"]
    assert result.all.n == len(answered) == sum(one.n for one in result.slices)
    assert result.all.right_after - result.all.right_before == result.all.fixed - result.all.broken
    assert not result.alarms
    if result.verdict == "promoted":
        assert not fell
        assert result.all.n >= POLICY.min_items
        assert result.all.lower is not None
        assert result.all.lower > 0
    if fell:
        assert result.verdict == "rejected"
    for one in result.slices:
        if one.guard == "fell":
            assert one.n >= POLICY.guard_min_items
            assert (one.broken - one.fixed) / one.n > POLICY.guard_epsilon
            assert one.upper is not None
            assert one.upper < 0
    assert all(any(character.isdigit() for character in reason) for reason in result.reasons)


def test_a_good_candidate_is_promoted_with_its_numbers() -> None:
    result = judge([*items("counting", 300, 60, 8, 80), *items("colour", 140, 4, 3, 10)], 0.2, POLICY)
    assert result.verdict == "promoted"
    assert "fixed 64, broken 11" in result.reasons[0]
    assert {one.name: one.guard for one in result.slices} == {"colour": "held", "counting": "held"}


def test_answers_that_collapse_are_rejected_whatever_the_margin_says() -> None:
    """The planted bad round: existence 0.78 to 0.46, counting 0.99 to 0.64, while pairs are told apart better."""
    collapsed = [*items("existence", 92, 0, 64, 44), *items("counting", 128, 0, 70, 2)]
    result = judge(collapsed, 0.1, POLICY)
    assert result.verdict == "rejected"
    assert [one.guard for one in result.slices] == ["fell", "fell"]


def test_one_task_that_falls_outweighs_a_gain_elsewhere() -> None:
    result = judge([*items("counting", 300, 120, 2, 80), *items("colour", 80, 0, 12, 8)], 0.2, POLICY)
    assert result.all.lower is not None
    assert result.all.lower > 0
    assert result.verdict == "rejected"
    assert any(reason.startswith("colour:") and "fell" in reason for reason in result.reasons)


def test_a_loss_too_small_to_be_sure_of_is_said_but_does_not_block() -> None:
    result = judge([*items("counting", 300, 60, 4, 80), *items("colour", 60, 1, 4, 8)], 0.2, POLICY)
    assert result.verdict == "promoted"
    assert [one.guard for one in result.slices if one.name == "colour"] == ["too small to say"]
    assert any(reason.startswith("colour:") and "too small to say" in reason for reason in result.reasons)


def test_without_gain_or_with_too_few_items_it_is_inconclusive() -> None:
    assert judge(items("counting", 300, 10, 9, 80), 0.0, POLICY).verdict == "inconclusive"
    few = judge(items("counting", 30, 40, 0, 10), 0.0, POLICY)
    assert few.verdict == "inconclusive"
    assert "80 items, at least 100" in few.reasons[0]
    empty = judge([], 0.0, POLICY)
    assert (empty.verdict, empty.all.n, empty.all.lower) == ("inconclusive", 0, None)


@pytest.mark.parametrize(("ratio", "word"), [(-0.51, "-0.51"), (float("nan"), "finite"), (float("inf"), "finite")])
def test_a_falling_chosen_answer_alarms(ratio: float, word: str) -> None:
    result = judge(items("counting", 300, 60, 0, 80), ratio, POLICY)
    assert result.verdict == "rejected"
    assert word in result.alarms[0]
    assert judge(items("counting", 300, 60, 0, 80), -0.49, POLICY).verdict == "promoted"


def test_an_alarm_of_training_rejects() -> None:
    assert judge(items("counting", 300, 60, 0, 80), 0.2, POLICY, ["training diverged"]).verdict == "rejected"


def test_yes_rate_alarms_when_it_moves_away_from_the_truth_only() -> None:
    gain = items("counting", 300, 90, 0, 80)
    biased = [*yes_no(True, True, True, 100), *yes_no(False, True, True, 60), *yes_no(False, False, False, 40)]
    towards = [*yes_no(True, True, True, 100), *yes_no(False, True, False, 60), *yes_no(False, False, False, 40)]
    away = [*yes_no(True, True, True, 100), *yes_no(False, True, True, 60), *yes_no(False, False, True, 40)]
    assert yes_rate(biased).after == 0.8
    assert judge([*gain, *biased], 0.2, POLICY).verdict == "promoted"
    assert judge([*gain, *towards], 0.2, POLICY).verdict == "promoted"
    result = judge([*gain, *away], 0.2, POLICY)
    assert result.verdict == "rejected"
    assert '"yes" moved from 0.800 to 1.000' in result.alarms[0]


def simulated(rng: np.random.Generator, sizes: dict[str, int], gain: dict[str, float], churn: float) -> list[Answered]:
    answered: list[Answered] = []
    for task, n in sizes.items():
        more = gain.get(task, 0.0)
        shares = [churn + max(0.0, more), churn + max(0.0, -more)]
        fixed, broken, rest = rng.multinomial(n, [*shares, 1 - sum(shares)])
        answered += items(task, rest, fixed, broken)
    return answered


SIZES = {
    "counting": 480,
    "existence": 240,
    "comparison": 240,
    "colour": 145,
    "size": 145,
    "object": 145,
    "spatial": 96,
}
GATES = 250


def verdicts(gain: dict[str, float], churn: float = 0.03) -> dict[str, float]:
    rng = np.random.default_rng(0)
    found = [judge(simulated(rng, SIZES, gain, churn), 0.2, POLICY).verdict for _ in range(GATES)]
    return {name: found.count(name) / GATES for name in ("promoted", "rejected", "inconclusive")}


def test_a_gain_in_one_task_is_hardly_ever_blocked_by_noise_in_the_others() -> None:
    """Counting gains 10 points, the six other tasks nothing: of 1,491 items, 3 % fixed and 3 % broken by chance."""
    assert verdicts({"counting": 0.10})["promoted"] > 0.9


def test_without_a_gain_hardly_anything_is_promoted() -> None:
    assert verdicts({})["promoted"] <= 0.07


def test_a_task_that_collapses_is_nearly_always_seen() -> None:
    assert verdicts({"counting": 0.10, "spatial": -0.20})["promoted"] < 0.02
    assert verdicts({"counting": 0.10, "existence": -0.12})["promoted"] < 0.02
    assert verdicts({"counting": 0.10, "existence": -0.08})["promoted"] < 0.15


@pytest.mark.parametrize(
    ("answer", "right", "equal"),
    [
        ("There are two circles.", "there are  two circles", True),
        ("There are two circles", "There are three circles.", False),
        ("", "There are two circles.", False),
        ("Two circles there are.", "There are two circles.", False),
    ],
)
def test_answers_are_compared_up_to_case_spaces_and_stop(answer: str, right: str, equal: bool) -> None:
    assert same(answer, right) is equal


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Yes, there is.", True),
        ("no", False),
        ("NO.", False),
        ("Nothing is there.", None),
        ("", None),
        ("Yesterday", None),
    ],
)
def test_polarity(answer: str, expected: bool | None) -> None:
    assert polarity(answer) is expected
