"""Losses equal those of TRL on the same models and tokens, and what their papers say."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor

from nearmiss.engine.groups import Group, batch_groups
from nearmiss.engine.logprobs import answer_logprobs
from nearmiss.engine.model import Vlm
from nearmiss.engine.objectives import OBJECTIVES, PairScores, pair_losses
from tiny import ask, make_vlm, sentence


def scores(chosen: list[float], rejected: list[float], reference: tuple[float, float] = (0.0, 0.0)) -> PairScores:
    ones = torch.ones(len(chosen))
    return PairScores(torch.tensor(chosen), torch.tensor(rejected), ones * reference[0], ones * reference[1])


def text_model(vlm: Vlm):
    """The language model of `vlm` alone, as a causal LM of transformers."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM(vlm.model.config.text_config)
    model.model.load_state_dict(vlm.model.model.language_model.state_dict())
    model.lm_head.load_state_dict(vlm.model.lm_head.state_dict())
    return model


def trl_loss(
    policy: Vlm, reference: Vlm, rows: list[dict[str, str]], loss_type: str, beta: float, folder: Path
) -> float:
    """The loss that TRL's DPO trainer computes for one batch of these rows."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from trl import DPOConfig, DPOTrainer

    disable_progress_bar()
    config = DPOConfig(
        output_dir=str(folder),
        beta=beta,
        loss_type=[loss_type],
        per_device_train_batch_size=len(rows),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
    )
    trainer = DPOTrainer(
        text_model(policy),
        ref_model=text_model(reference),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=policy.tokenizer,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    return float(trainer.compute_loss(trainer.model, batch))


@pytest.fixture(scope="module")
def models() -> tuple[Vlm, Vlm]:
    return make_vlm(0), make_vlm(1)


@pytest.fixture(scope="module")
def group_and_rows(models: tuple[Vlm, Vlm]) -> tuple[list[Group], list[dict[str, str]]]:
    """Text-only groups of two pairs each, and the same pairs as TRL takes them: a row a pair."""
    vlm, rng = models[0], Random(4)
    groups: list[Group] = []
    rows: list[dict[str, str]] = []
    for k in range(3):
        conversation = ask(None, sentence(rng, 4 + k))
        chosen, *rejected = (sentence(rng, length) for length in (4, 6, 3))
        tokens = [vlm.answer(conversation, text) for text in (chosen, *rejected)]
        prompt = vlm.prompt(conversation).ids
        groups.append(Group(f"g{k}", (f"{k}a", f"{k}b"), (), prompt, tokens[0], tuple(tokens[1:])))
        text = vlm.tokenizer.decode(prompt)
        rows += [{"prompt": text, "chosen": chosen, "rejected": one} for one in rejected]
    return groups, rows


def pair_scores(models: tuple[Vlm, Vlm], groups: list[Group]) -> PairScores:
    batch = batch_groups(groups, models[0].pad_id)
    with torch.no_grad():
        policy, reference = (answer_logprobs(model, batch) for model in models)
    c, r = batch.pair_chosen, batch.pair_rejected
    return PairScores(policy[c], policy[r], reference[c], reference[r])


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_dpo_loss_equals_that_of_trl(models, group_and_rows, beta: float, tmp_path: Path) -> None:
    groups, rows = group_and_rows
    ours = float(pair_losses("dpo", pair_scores(models, groups), beta, anchor=0).mean())
    theirs = trl_loss(*models, rows, "sigmoid", beta, tmp_path)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert abs(theirs - math.log(2)) > 0.01, "the models must differ for this to say anything"


def test_sft_loss_equals_that_of_trl_but_for_its_division_by_tokens(models, group_and_rows, tmp_path: Path) -> None:
    groups, rows = group_and_rows
    ours = pair_losses("sft", pair_scores(models, groups), 0.1, anchor=0)
    tokens = sum(len(group.chosen) * len(group.pair_ids) for group in groups)
    assert float(ours.sum()) / tokens == pytest.approx(trl_loss(*models, rows, "sft", 0.1, tmp_path), abs=1e-4)


def test_dpo_is_log_2_at_the_reference_and_falls_with_the_margin() -> None:
    at_reference = pair_losses("dpo", scores([-3.0], [-5.0], (-3.0, -5.0)), 0.1, anchor=0)
    assert float(at_reference) == pytest.approx(math.log(2))
    losses = pair_losses("dpo", scores([0.0, 1.0, 5.0], [0.0, 0.0, 0.0]), 0.5, anchor=0)
    assert losses.tolist() == sorted(losses.tolist(), reverse=True)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_anchor_adds_the_chosen_answers_nats(name: str) -> None:
    given = scores([-2.0, -7.0], [-4.0, -1.0])
    plain: Tensor = pair_losses(name, given, 0.1, anchor=0)
    assert torch.allclose(pair_losses(name, given, 0.1, anchor=0.5) - plain, torch.tensor([1.0, 3.5]))


def test_anchor_pulls_the_chosen_answer_up_where_dpo_alone_is_content() -> None:
    chosen = torch.tensor([-6.0], requires_grad=True)
    rejected = torch.tensor([-60.0], requires_grad=True)
    given = PairScores(chosen, rejected, torch.zeros(1), torch.zeros(1))
    for anchor, least in ((0.0, 0.0), (1.0, 0.9)):
        (gradient,) = torch.autograd.grad(pair_losses("dpo", given, 0.1, anchor).sum(), chosen)
        assert float(-gradient) >= least
    assert float(-gradient) < 1.1


def test_sft_does_not_look_at_the_rejected_answer() -> None:
    one = pair_losses("sft", scores([-2.0], [-4.0]), 0.1, 0)
    assert torch.equal(one, pair_losses("sft", scores([-2.0], [-40.0]), 0.1, 0))
