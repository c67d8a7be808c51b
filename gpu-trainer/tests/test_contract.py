"""What the trainer reads of the API's messages, and what it passes over."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from nearmiss.batch import images_of, prepare
from nearmiss.contract import ClaimResponse, ImagePart, PairLine, TextPart, Turn
from tiny import image_hash, make_vlm


def line(*content: object) -> str:
    pair = {"id": "a", "group": "g", "region": "temporal/attribute/en/video", "task": "temporal", "level": 2}
    told = {
        "errorType": "temporal-order",
        "origin": "builtin",
        "chosen": "There are two.",
        "rejected": "There are three.",
        "use": "train",
        "predicted": 0.5,
    }
    return json.dumps({**pair, **told, "conversation": [{"role": "user", "content": list(content)}]})


def frames(*seeds: int) -> list[dict[str, object]]:
    return [{"sha256": image_hash(seed), "timeMs": 40 * place} for place, seed in enumerate(seeds)]


TEXT = {"type": "text", "text": "How many circles?"}
STILL = {"type": "image", "sha256": image_hash(9)}


def test_a_video_is_its_frames_in_order_each_an_image() -> None:
    pair = PairLine.model_validate_json(line(STILL, {"type": "video", "frames": frames(3, 1, 3)}, TEXT))
    assert pair.conversation[0].content == (
        *(ImagePart(sha256=image_hash(seed)) for seed in (9, 3, 1, 3)),
        TextPart(text="How many circles?"),
    )
    assert images_of(pair.conversation) == [image_hash(seed) for seed in (9, 3, 1, 3)]


def test_a_pair_about_a_video_is_trained_on_all_its_frames() -> None:
    vlm = make_vlm()
    one = PairLine.model_validate_json(line({"type": "video", "frames": frames(2, 5)}, TEXT))
    prepared = prepare(vlm, [one], {})
    assert not prepared.refused
    (group,) = prepared.groups
    assert group.images == (image_hash(2), image_hash(5))
    single = vlm.prompt((Turn(role="user", content=(ImagePart(sha256=image_hash(2)),)),))
    each = single.ids.count(vlm.image_token_id)
    assert each > 0
    assert group.prompt.count(vlm.image_token_id) == 2 * each
    missing = prepare(vlm, [one], {image_hash(5): "is missing"})
    assert missing.refused == {"a": f"image {image_hash(5)[:12]} is missing"}


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "video"},
        {"type": "video", "frames": []},
        {"type": "video", "frames": [{"sha256": "no hash", "timeMs": 0}]},
        {"type": "video", "frames": [{"sha256": image_hash(1)}]},
        {"type": "video", "frames": 7},
        {"type": "sound"},
    ],
)
def test_a_video_without_frames_is_no_line(bad: object) -> None:
    with pytest.raises(ValidationError):
        PairLine.model_validate_json(line(bad, TEXT))


def test_sections_of_the_policy_that_are_not_the_trainers_are_passed_over() -> None:
    sections = {"training": {"beta": 0.3, "minPairs": 300}, "gate": {"minItems": 7}}
    others = {
        "intake": {"models": ["m"], "pairRewardMin": None},
        "retention": {"archiveAfterDays": 90},
        "scheduler": {},
    }
    claimed = {
        "id": "r",
        "resumed": False,
        "lease": {"id": "l", "fence": 1, "expiresAt": 1, "ttlMs": 1},
        "reference": None,
        "batch": {"pairs": 1, "sha256": image_hash(0)},
        "policy": {"version": 3, **sections, **others},
    }
    answer = ClaimResponse.model_validate_json(json.dumps({"round": claimed, "reason": None}))
    assert answer.round is not None
    assert answer.round.policy.training.beta == 0.3
    assert answer.round.policy.gate.min_items == 7
