"""The loop: margins start at exactly 0, a cut leaves no trace, every prompt weighs the same."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import islice
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nearmiss.contract import TrainingPolicy
from nearmiss.engine.adapters import Adapter
from nearmiss.engine.groups import Group
from nearmiss.engine.model import Vlm
from nearmiss.engine.plan import Plan, by_length, make_plan
from nearmiss.engine.training import Diverged, Scores, Trainer, learning_rate, score
from tiny import make_groups, make_vlm

RECIPE = TrainingPolicy(anchor=0.01, learning_rate=2e-3, lora_rank=4, groups_per_step=6, epochs=2)
GROUPS = 24


def start(recipe: TrainingPolicy = RECIPE) -> tuple[Vlm, Trainer]:
    """A trainer at its first step, the same every time."""
    vlm = make_vlm(seed=5, scale=3.0)
    adapter = Adapter.attach(vlm, recipe.lora_rank, seed=1)
    plan = make_plan(make_groups(vlm, GROUPS), recipe.epochs, recipe.groups_per_step, seed=7)
    return vlm, Trainer(vlm, adapter, plan, score(vlm, plan.scoring), recipe)


def saved_and_read(state: dict) -> dict:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)


def test_margin_before_the_first_step_is_exactly_0_and_then_grows() -> None:
    vlm, trainer = start()
    results = list(trainer.steps())
    assert results[0].margin == 0.0
    assert results[0].chosen_log_ratio == 0.0
    assert results[-1].margin > 0.1
    after = score(vlm, trainer.plan.scoring)
    gains = [after[p].chosen - after[p].rejected - one.chosen + one.rejected for p, one in trainer.reference.items()]
    assert sum(gains) / len(gains) > 0.1
    assert len(results) == len(trainer.plan.steps) == 8


def test_scoring_again_gives_the_same_bits() -> None:
    vlm, trainer = start()
    assert score(vlm, trainer.plan.scoring) == trainer.reference


@pytest.mark.parametrize("cut", [1, 5])
def test_going_on_after_a_cut_equals_the_undisturbed_run_bit_for_bit(cut: int) -> None:
    _, undisturbed = start()
    whole = list(undisturbed.steps())

    _, first = start()
    before = list(islice(first.steps(), cut))
    state = saved_and_read(first.state())
    torch.manual_seed(999)
    _, second = start()
    second.load_state(state)
    after = list(second.steps())

    assert before + after == whole
    assert [result.step for result in after] == list(range(cut + 1, 9))
    ours, theirs = second.adapter.state(), undisturbed.adapter.state()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def gradients_of(steps: list[list[Group]]) -> list[torch.Tensor]:
    """The gradients of one step that takes its groups in these batches."""
    vlm = make_vlm(seed=5, scale=3.0)
    adapter = Adapter.attach(vlm, 4, seed=1)
    batches = tuple(map(tuple, steps))
    plan = Plan(scoring=batches, steps=(batches,))
    next(Trainer(vlm, adapter, plan, score(vlm, plan.scoring), RECIPE).steps())
    return [parameter.grad.clone() for parameter in adapter.parameters() if parameter.grad is not None]


def mean_of(parts: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [torch.stack(tensors).mean(0) for tensors in zip(*parts, strict=True)]


def without_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearmiss.engine.training.GRADIENT_NORM_MAX", float("inf"))


def test_every_prompt_weighs_the_same_and_every_pair_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_clipping(monkeypatch)
    groups = make_groups(make_vlm(seed=5, scale=3.0), 3, rejected=(3, 1, 2))
    alone = [
        [
            gradients_of([[Group(pair, (pair,), group.images, group.prompt, group.chosen, (rejected,))]])
            for pair, rejected in zip(group.pair_ids, group.rejected, strict=True)
        ]
        for group in groups
    ]
    expected = mean_of([mean_of(pairs) for pairs in alone])
    for one, other in zip(gradients_of([groups]), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-3)
    assert max(float(one.abs().max()) for one in expected) > 1e-3


def test_batches_change_nothing_but_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    without_clipping(monkeypatch)
    groups = make_groups(make_vlm(seed=5, scale=3.0), 5)
    for one, other in zip(gradients_of([groups]), gradients_of([groups[:2], groups[2:]]), strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-3)


def test_a_loss_that_is_no_number_stops_before_its_step() -> None:
    _, trainer = start()
    next(trainer.steps())
    before = trainer.adapter.state()
    broken: Scores = {pair: type(one)(float("nan"), one.rejected, 1, 1) for pair, one in trainer.reference.items()}
    trainer.reference = broken
    with pytest.raises(Diverged, match="step 2"):
        next(trainer.steps())
    after = trainer.adapter.state()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert trainer.done == 1


def test_learning_rate_warms_up_and_comes_down() -> None:
    recipe = TrainingPolicy(learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate(recipe, step, 40) for step in range(40)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert max(rates) == 1.0
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.01
    assert learning_rate(recipe, 0, 1) == 1.0


def fake_groups(lengths: list[int]) -> list[Group]:
    return [Group(f"{k:04d}", (f"{k}",), (), (1,) * (length - 2), (2,), ((3,),)) for k, length in enumerate(lengths)]


@given(
    lengths=st.lists(st.integers(3, 400), min_size=1, max_size=150),
    per_step=st.integers(1, 64),
    epochs=st.floats(0.1, 3.0),
    seed=st.integers(0, 1000),
)
def test_a_plan_takes_every_group_once_an_epoch_in_equal_steps(lengths, per_step, epochs, seed) -> None:
    groups = fake_groups(lengths)
    plan = make_plan(groups, epochs, per_step, seed)
    assert sorted(g.id for batch in plan.scoring for g in batch) == [g.id for g in groups]
    per_epoch = max(1, round(len(groups) / per_step))
    assert len(plan.steps) == ceil(epochs * per_epoch)
    for begin in range(0, len(plan.steps) - per_epoch + 1, per_epoch):
        taken = [g.id for step in plan.steps[begin : begin + per_epoch] for batch in step for g in batch]
        assert sorted(taken) == [g.id for g in groups]
    sizes = [sum(map(len, step)) for step in plan.steps]
    assert max(sizes) - min(sizes) <= 1
    assert plan == make_plan(groups[::-1], epochs, per_step, seed), "the order in which groups come plays no part"
    first = plan.steps[0]
    assert plan.scoring[: len(first)] == first, "scored in the very batches that are trained"


@given(
    predicted=st.lists(st.sampled_from([0.1, 0.3, 0.3, 0.7, 0.9]), min_size=1, max_size=60),
    per_step=st.integers(1, 16),
    seeds=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
)
def test_easy_to_hard_takes_the_easiest_groups_first_in_every_epoch(predicted, per_step, seeds) -> None:
    groups = [
        replace(group, predicted=ease) for group, ease in zip(fake_groups([9] * len(predicted)), predicted, strict=True)
    ]
    plan = make_plan(groups, 2, per_step, seeds[0], "easy-to-hard")
    assert plan == make_plan(groups[::-1], 2, per_step, seeds[1], "easy-to-hard"), "neither order nor seed plays a part"
    wanted = [group.id for group in sorted(groups, key=lambda group: (-group.predicted, group.id))]
    per_epoch = len(plan.steps) // 2
    for epoch in (plan.steps[:per_epoch], plan.steps[per_epoch:]):
        taken: list[str] = []
        for step in epoch:
            ids = {group.id for batch in step for group in batch}
            assert ids == set(wanted[len(taken) : len(taken) + len(ids)])
            taken += ids
        assert len(taken) == len(groups)


def test_what_is_only_scored_is_in_no_step_and_moves_none() -> None:
    trained, scored = fake_groups([9, 12, 30]), fake_groups([9, 9, 400, 7])[2:]
    plan, without = make_plan(trained, 2, 2, 0, scored=scored), make_plan(trained, 2, 2, 0)
    assert plan.steps == without.steps
    assert plan.scoring[: len(without.scoring)] == without.scoring, "so that margins still start at exactly 0"
    behind = [group.id for batch in plan.scoring[len(without.scoring) :] for group in batch]
    assert sorted(behind) == sorted(group.id for group in scored)


@given(lengths=st.lists(st.integers(3, 400), min_size=1, max_size=60), tokens=st.integers(50, 1000))
def test_batches_stay_within_their_tokens(lengths, tokens) -> None:
    batches = by_length(fake_groups(lengths), tokens)
    assert sorted(g.length for batch in batches for g in batch) == sorted(lengths)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(g.length for g in batch) <= tokens
