"""The saved miniature loads from its folder alone, knows its words, and answers what generate() answers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image

from nearmiss.miniature import Miniature, ModelError, prompt
from nearmiss.miniature.build import (
    CHAT_TEMPLATE,
    IMAGE_TOKENS,
    build_model,
    build_processor,
    build_tokenizer,
)
from nearmiss.miniature.lessons import PREFIX_TOKENS, Lessons
from nearmiss.miniature.pretrain import PHASES, forward, train
from nearmiss.worlds import Example, open_world
from nearmiss.worlds.questions import Mix, YesBalance, ask
from nearmiss.worlds.scenes import Style, draw_box
from nearmiss.worlds.score import accuracy

FOLDER = Path(__file__).resolve().parents[1] / "miniature"
FOLDER_BYTES_MAX = 8_000_000
AGREEMENT_QUESTIONS = 300
WORKING_ACCURACY = (0.70, 0.95)
"""It must be good enough to be worth deploying and bad enough to have something to learn."""

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def miniature() -> Miniature:
    return Miniature.load(FOLDER)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return open_world("scenes", None, 0).held_out(40)


def generated(miniature: Miniature, example: Example, question: str) -> str:
    image = Image.open(io.BytesIO(example.png))
    inputs = miniature.processor(images=[image], text=[prompt(miniature.processor, question)], return_tensors="pt")
    tokens = miniature.model.generate(**inputs, max_new_tokens=48, do_sample=False)
    said = tokens[0, inputs["input_ids"].shape[1] :]
    return str(miniature.tokenizer.decode(said, skip_special_tokens=True)).strip()


def test_the_folder_is_small_and_complete() -> None:
    names = {f.name for f in FOLDER.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "processor_config.json",
        "chat_template.jinja",
    } <= names
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= FOLDER_BYTES_MAX


def test_the_saved_words_and_template_are_the_ones_of_the_code(miniature: Miniature) -> None:
    assert miniature.tokenizer.get_vocab() == build_tokenizer().get_vocab()
    assert miniature.processor.chat_template == CHAT_TEMPLATE


def test_every_word_of_questions_answers_and_near_misses_is_known(miniature: Miniature) -> None:
    rng, balance = Random(0), YesBalance()
    sentences = {
        "There are nine objects.",
        "No, there is no big blue square.",
        "There are fewer circles than squares.",
    }
    for _ in range(400):
        for one in ask(draw_box(rng, Style()), rng, balance, Mix(caption=1)):
            sentences |= {one.question, one.answer}
    tokenizer = miniature.tokenizer
    for sentence in sentences:
        ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in ids, sentence
        assert tokenizer.decode(ids) == sentence
    assert tokenizer.unk_token_id in tokenizer("There is one zebra.", add_special_tokens=False)["input_ids"]


def test_the_prompt_is_the_image_then_the_question(miniature: Miniature, examples: list[Example]) -> None:
    text = prompt(miniature.processor, "Is there a circle?")
    assert text == "<s><image><user>Is there a circle?<assistant>"
    image = Image.open(io.BytesIO(examples[0].png))
    ids = miniature.processor(images=[image], text=[text], return_tensors="pt")["input_ids"][0]
    image_id = miniature.model.config.image_token_id
    assert (ids == image_id).sum() == IMAGE_TOKENS == PREFIX_TOKENS - 1
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is there a circle?"}]},
        {"role": "assistant", "content": "Yes, there is a circle."},
    ]
    assert miniature.processor.apply_chat_template(turns) == text + "Yes, there is a circle.</s>"


def test_answers_are_those_of_generate(miniature: Miniature, examples: list[Example]) -> None:
    some = [(e, i.question) for e in examples for i in e.items][:AGREEMENT_QUESTIONS]
    shown = list({e.image_sha256: e for e, _ in some}.values())
    asked = [[q for e, q in some if e is image] for image in shown]
    fast = [a for row in miniature.answer([e.png for e in shown], asked) for a in row]
    assert len(fast) == len(some)
    assert fast == [generated(miniature, e, q) for e, q in some]


def test_answers_do_not_depend_on_company_or_kind_of_image(miniature: Miniature, examples: list[Example]) -> None:
    first, second = examples[:2]
    q1, q2 = ([i.question for i in e.items] for e in (first, second))
    alone = miniature.answer([first.png], [q1]) + miniature.answer([second.png], [q2])
    assert miniature.answer([first.png, second.png], [q1, q2]) == alone
    assert miniature.answer([Image.open(io.BytesIO(first.png))], [q1]) == alone[:1]
    assert miniature.answer([second.png, first.png, first.png], [q2[:1], [], q1]) == [
        alone[1][:1],
        [],
        alone[0],
    ]
    assert miniature.answer([], []) == []
    with pytest.raises(ValueError, match="1 images, but 2"):
        miniature.answer([first.png], [q1, q2])


def test_the_base_answers_well_but_not_perfectly(miniature: Miniature) -> None:
    score = accuracy(miniature.answer, open_world("scenes", None, 0).held_out(60))
    low, high = WORKING_ACCURACY
    assert low <= score.all.share <= high, score.table()


def test_an_adapter_changes_answers_and_matches_generate(
    miniature: Miniature, examples: list[Example], tmp_path: Path
) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    torch.manual_seed(0)
    targets = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    config = LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
    trained = get_peft_model(Miniature.load(FOLDER).model, config)
    trained.save_pretrained(tmp_path)
    with_adapter = Miniature.load(FOLDER, adapter=tmp_path)
    shown = examples[:12]
    asked = [[i.question for i in e.items] for e in shown]
    answers = with_adapter.answer([e.png for e in shown], asked)
    assert answers != miniature.answer([e.png for e in shown], asked)
    assert isinstance(trained, PeftModel)
    assert answers == Miniature.wrap(trained, miniature.processor).answer([e.png for e in shown], asked)
    pairs = [(e, q, a) for e, qs, row in zip(shown, asked, answers, strict=True) for q, a in zip(qs, row, strict=True)]
    assert [a for _, _, a in pairs[:20]] == [generated(with_adapter, e, q) for e, q, _ in pairs[:20]]


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        Miniature.load(tmp_path)
    with pytest.raises(ModelError, match="no adapter in"):
        Miniature.load(FOLDER, adapter=tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot load"):
        Miniature.load(FOLDER, adapter=tmp_path)


def test_packed_questions_see_their_image_and_not_each_other(miniature: Miniature) -> None:
    lessons = Lessons(miniature.processor, "parity", Style(), Mix(caption=1), yes_share=0.5)
    views, packed, asked = lessons.batch(2)
    with torch.no_grad():
        hidden = forward(miniature.model, views, packed, lessons.bos_id())
        for k, one in enumerate(asked[1], 1):
            text = f"<s>{'<image>' * IMAGE_TOKENS}<user>{one.question}<assistant>{one.answer}</s>"
            alone = miniature.tokenizer(text, return_tensors="pt", add_special_tokens=False)
            logits = miniature.model(**alone, pixel_values=views[1:]).logits[0, PREFIX_TOKENS:]
            together = miniature.model.lm_head(hidden[1][packed.segment[1] == k])
            torch.testing.assert_close(together, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("phase", PHASES, ids=lambda p: p.name)
def test_training_repeats_from_its_seed(phase) -> None:  # type: ignore[no-untyped-def]
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        tokenizer = build_tokenizer()
        processor, model = build_processor(tokenizer), build_model(tokenizer)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        train(model, processor, replace(phase, steps=2, images=2), seed)
        moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        assert any("vision_tower" in n for n in moved) == (phase.eyes > 0)
        assert any("language_model" in n for n in moved) == (phase.name != "eyes")
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
