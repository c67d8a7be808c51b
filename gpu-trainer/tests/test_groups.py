"""The grouped layout gives what separate rows give, through stock transformers, and a wrong one is seen."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

import nearmiss.engine.groups as groups_module
from nearmiss.engine.adapters import Adapter
from nearmiss.engine.groups import Group, batch_groups
from nearmiss.engine.layout import Rows, Segment, lay_out
from nearmiss.engine.logprobs import answer_logprobs
from nearmiss.engine.model import Vlm
from tiny import IMAGES, ask, image, make_group, make_groups, make_vlm

TOLERANCE_NATS = 1e-4


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    return make_vlm()


def plain_logprob(vlm: Vlm, group: Group, answer: tuple[int, ...]) -> Tensor:
    """One row of prompt and answer with its image, through the model's own forward: no mask, no positions of ours."""
    ids = torch.tensor([[*group.prompt, *answer]])
    pixels = [image(IMAGES[name]) for name in group.images]
    given = (
        {"pixel_values": vlm.processor.image_processor(images=pixels, return_tensors="pt")["pixel_values"]}
        if pixels
        else {}
    )
    logits = vlm.model(input_ids=ids, **given).logits[0, len(group.prompt) - 1 : -1]
    return log_softmax(logits.float(), -1).gather(1, torch.tensor(answer)[:, None]).sum()


def plain(vlm: Vlm, groups: list[Group]) -> Tensor:
    return torch.stack([plain_logprob(vlm, group, answer) for group in groups for answer in group.answers])


@pytest.mark.parametrize("rejected", [1, 3])
def test_one_group_equals_separate_rows(vlm: Vlm, rejected: int) -> None:
    group = make_group(vlm, Random(rejected), rejected, "g")
    with torch.no_grad():
        together, apart = answer_logprobs(vlm, batch_groups([group], vlm.pad_id)), plain(vlm, [group])
    assert together.shape == (rejected + 1,)
    assert float((together - apart).abs().max()) < TOLERANCE_NATS
    assert float(apart.abs().min()) > 1, "the comparison would be empty if all were near 0"


def test_padded_batch_of_groups_of_all_sizes_equals_separate_rows(vlm: Vlm) -> None:
    groups = [*make_groups(vlm, 7), make_group(vlm, Random(5), 2, "text only", image_seed=None)]
    assert len({group.length for group in groups}) > 3
    batch = batch_groups(groups, vlm.pad_id)
    with torch.no_grad():
        assert float((answer_logprobs(vlm, batch) - plain(vlm, groups)).abs().max()) < TOLERANCE_NATS
    assert batch.answer_tokens.tolist() == [len(answer) for group in groups for answer in group.answers]


def test_gradients_equal_those_of_separate_rows() -> None:
    vlm = make_vlm(seed=3)
    adapter = Adapter.attach(vlm, rank=4, seed=1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    groups = make_groups(vlm, 4, rejected=(1, 3))
    weights = torch.randn(sum(len(group.answers) for group in groups))

    def gradients(logprobs: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad((logprobs * weights).sum(), adapter.parameters()))

    ours = gradients(answer_logprobs(vlm, batch_groups(groups, vlm.pad_id)))
    theirs = gradients(plain(vlm, groups))
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).norm()) <= 1e-4 * max(1e-3, float(other.norm()))
    assert sum(float(one.norm()) for one in theirs) > 0


def wrong_mask(rows: Rows) -> Rows:
    causal = torch.ones_like(rows.mask).tril()
    return replace(rows, mask=causal)


def wrong_positions(rows: Rows) -> Rows:
    width = rows.ids.shape[1]
    return replace(rows, positions=torch.arange(width).expand_as(rows.ids))


@pytest.mark.parametrize("spoil", [wrong_mask, wrong_positions])
def test_a_wrong_mask_or_wrong_positions_are_seen(vlm: Vlm, spoil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_module, "lay_out", lambda rows, pad: spoil(lay_out(rows, pad)))
    groups = make_groups(vlm, 4, rejected=(3,))
    with torch.no_grad():
        off = (answer_logprobs(vlm, batch_groups(groups, vlm.pad_id)) - plain(vlm, groups)).abs()
    assert float(off.max()) > 0.1
    firsts = torch.tensor([k * 4 for k in range(4)])
    assert float(off[firsts].max()) < TOLERANCE_NATS, "the answer right behind the prompt is not touched"


def test_segments_see_their_ancestors_and_themselves_only() -> None:
    rows = lay_out(
        [[Segment((1, 2)), Segment((3, 4), 0), Segment((5,), 0), Segment((6, 7), 2)], [Segment((8,))]], pad_id=0
    )
    seen = [[int(x) for x in line] for line in rows.mask[0, 0]]
    assert seen == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 1, 1, 1],
    ]
    assert rows.positions[0].tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert rows.ids.tolist() == [[1, 2, 3, 4, 5, 6, 7], [8, 0, 0, 0, 0, 0, 0]]
    assert torch.equal(rows.mask[1, 0], torch.eye(7, dtype=torch.bool))


def test_prompt_tokens_are_those_of_the_processor(vlm: Vlm) -> None:
    conversation = ask(3, "How many blue circles are there?")
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many blue circles are there?"}]}
    ]
    text = vlm.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    expected = vlm.processor(text=text, images=image(3), return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    assert list(vlm.prompt(conversation).ids) == expected.tolist()


def test_answer_ends_where_the_model_ends_its_answers(vlm: Vlm) -> None:
    tokens = vlm.answer(ask(3, "How many?"), "There are two circles.")
    assert tokens[-1] == vlm.tokenizer.eos_token_id
    assert tokens.count(vlm.tokenizer.eos_token_id) == 1
    assert vlm.tokenizer.decode(tokens, skip_special_tokens=True).strip() == "There are two circles."
