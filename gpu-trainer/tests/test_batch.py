"""What can not be trained on is refused with its reason; everything else is trained whole."""

from __future__ import annotations

from typing import Literal

import pytest

from nearmiss.batch import gate_prompts, prepare
from nearmiss.contract import Conversation, GateLine, PairLine
from nearmiss.engine.model import Vlm
from tiny import ask, image_hash, make_vlm, sentence

RIGHT = "There are two blue circles."
WRONG = "There are three blue circles."


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    return make_vlm()


def pair(
    name: str,
    group: str = "g",
    conversation: Conversation | None = None,
    chosen=RIGHT,
    rejected=WRONG,
    use: Literal["train", "score"] = "train",
    predicted: float = 0.5,
) -> PairLine:
    return PairLine(
        id=name,
        group=group,
        region="counting/count-near/en/image",
        task="counting",
        error_type="count-near",
        level=2,
        origin="builtin",
        conversation=conversation or ask(0, "How many?"),
        chosen=chosen,
        rejected=rejected,
        use=use,
        predicted=predicted,
    )


def test_pairs_of_one_group_share_prompt_and_chosen_answer(vlm: Vlm) -> None:
    lines = [pair("b", rejected="There are four blue circles."), pair("a"), pair("c", group="h")]
    prepared = prepare(vlm, lines, {})
    assert not prepared.refused
    assert [(group.id, group.pair_ids) for group in prepared.groups] == [("a", ("a", "b")), ("c", ("c",))]
    group = prepared.groups[0]
    assert vlm.tokenizer.decode(group.chosen, skip_special_tokens=True).strip() == RIGHT
    assert vlm.tokenizer.decode(group.rejected[1], skip_special_tokens=True).strip() == "There are four blue circles."


def test_pairs_that_only_claim_to_be_one_group_are_kept_apart(vlm: Vlm) -> None:
    prepared = prepare(vlm, [pair("a"), pair("b", chosen="There are four blue circles.")], {})
    assert sorted(group.pair_ids for group in prepared.groups) == [("a",), ("b",)]


def test_what_is_only_scored_shares_no_group_with_what_is_trained_on(vlm: Vlm) -> None:
    lines = [
        pair("a", predicted=0.2),
        pair("b", rejected="There are four blue circles.", predicted=0.6),
        pair("c", rejected="There are five blue circles.", use="score"),
        pair("sentinel:a", use="score"),
        pair("sentinel:a:swapped", chosen=WRONG, rejected=RIGHT, use="score"),
    ]
    prepared = prepare(vlm, lines, {})
    assert [(group.pair_ids, group.predicted) for group in prepared.groups] == [(("a", "b"), pytest.approx(0.4))]
    assert [group.pair_ids for group in prepared.scored] == [("c", "sentinel:a"), ("sentinel:a:swapped",)]
    twin = prepared.scored[1]
    assert (twin.chosen, twin.rejected[0]) == (prepared.scored[0].rejected[1], prepared.scored[0].chosen)


def test_a_refused_pair_does_not_move_how_easy_its_group_is(vlm: Vlm) -> None:
    prepared = prepare(vlm, [pair("a", predicted=0.2), pair("b", rejected="  ", predicted=1.0)], {})
    assert [group.predicted for group in prepared.groups] == [0.2]


LONG = " ".join(["two"] * 600) + "."


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"rejected": RIGHT}, "same answer"),
        ({"rejected": "  "}, "rejected is empty"),
        ({"rejected": "There are purplish circles."}, "rejected holds a word that the tokenizer does not know"),
        ({"rejected": "There is one <image>."}, "rejected holds an image token"),
        ({"rejected": LONG}, "tokens, the model takes 512"),
    ],
)
def test_a_bad_rejected_answer_costs_its_own_pair_only(vlm: Vlm, bad, reason: str) -> None:
    prepared = prepare(vlm, [pair("a"), pair("b", **bad)], {})
    assert reason in prepared.refused["b"]
    assert [group.pair_ids for group in prepared.groups] == [("a",)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"chosen": ""}, "chosen is empty"),
        ({"chosen": LONG}, "prompt and chosen have"),
        ({"conversation": ask(0, LONG)}, "the prompt has"),
        ({"conversation": ask(1, "How many?")}, f"image {image_hash(1)[:12]} is missing"),
        ({"conversation": ask(0, "How many <image> are there?")}, "image token that is no image"),
    ],
)
def test_a_bad_prompt_or_chosen_answer_costs_its_group(vlm: Vlm, bad, reason: str) -> None:
    lines = [pair("a", group="bad", **bad), pair("b", group="bad", **bad, rejected="There is one."), pair("c")]
    prepared = prepare(vlm, lines, {image_hash(1): "is missing"})
    assert set(prepared.refused) == {"a", "b"}
    assert all(reason in text for text in prepared.refused.values())
    assert [group.pair_ids for group in prepared.groups] == [("c",)]


def test_every_pair_is_in_one_group_or_refused(vlm: Vlm) -> None:
    from random import Random

    rng = Random(0)
    texts = ["", RIGHT, WRONG, LONG, "unknownword", sentence(rng, 4)]
    lines = [pair(f"{k}", group=f"{k % 7}", chosen=rng.choice(texts), rejected=rng.choice(texts)) for k in range(80)]
    prepared = prepare(vlm, lines, {})
    used = [name for group in prepared.groups for name in group.pair_ids]
    assert sorted([*used, *prepared.refused]) == sorted(line.id for line in lines)
    assert len(used) > 5


def test_gate_items_that_can_not_be_asked_judge_nothing(vlm: Vlm) -> None:
    def item(name: str, conversation: Conversation) -> GateLine:
        return GateLine(id=name, task="counting", region="r", conversation=conversation, answer=RIGHT)

    given = [item("a", ask(0, "How many?")), item("b", ask(1, "How many?")), item("c", ask(0, LONG))]
    assert list(gate_prompts(vlm, given, {image_hash(1): "is missing"})) == ["a"]
