"""Packed greedy decoding says what `generate()` says."""

from __future__ import annotations

from random import Random

import torch

from nearmiss.contract import ImagePart, TextPart, Turn
from nearmiss.engine.decode import greedy_answers
from nearmiss.engine.model import Vlm
from tiny import IMAGES, ask, image, image_hash, make_vlm, sentence

TOKENS_MAX = 9


def generated(vlm: Vlm, prompt) -> str:
    pixels = [image(IMAGES[name]) for name in prompt.images]
    given = (
        {"pixel_values": vlm.processor.image_processor(images=pixels, return_tensors="pt")["pixel_values"]}
        if pixels
        else {}
    )
    ids = torch.tensor([prompt.ids])
    out = vlm.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS_MAX, do_sample=False, **given
    )
    return vlm.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()


def test_answers_equal_those_of_generate() -> None:
    vlm = make_vlm(seed=2)
    rng = Random(0)
    with torch.no_grad():
        vlm.model.lm_head.weight[vlm.tokenizer.eos_token_id] *= 2  # so that some answers end early
    conversations = [ask(seed, sentence(rng, rng.randint(2, 9))) for seed in (0, 0, 0, 1, 1, 2, None) for _ in range(3)]
    two_images = (ImagePart(sha256=image_hash(4)), ImagePart(sha256=image_hash(5)), TextPart(text="Which is bigger?"))
    later_image = (TextPart(text="And here?"), ImagePart(sha256=image_hash(5)))
    conversations += [
        (Turn(role="user", content=two_images),),
        (
            *ask(4, "What is there?"),
            Turn(role="assistant", content=(TextPart(text="A box."),)),
            Turn(role="user", content=later_image),
        ),
    ]
    prompts = [vlm.prompt(conversation) for conversation in conversations]
    answers = greedy_answers(vlm, prompts, tokens_max=TOKENS_MAX)
    assert answers == [generated(vlm, prompt) for prompt in prompts]
    assert len(set(answers)) > 5
    assert len({len(answer.split()) for answer in answers}) > 1, "some answers end before the limit, some do not"


def test_a_packed_batch_stops_when_asked_to() -> None:
    vlm = make_vlm(seed=2)
    prompts = [vlm.prompt(ask(seed, "What is there?")) for seed in range(8)]
    seen: list[int] = []
    greedy_answers(vlm, prompts, tokens_max=2, on_batch=seen.append)
    assert seen[-1] == 8
