"""A random LLaVA of the miniature's make, and conversations about random images."""

from __future__ import annotations

import hashlib
from functools import cache
from random import Random

import torch
from PIL import Image
from torch import nn

from nearmiss.contract import Conversation, ImagePart, TextPart, Turn
from nearmiss.engine.groups import Group
from nearmiss.engine.model import Vlm
from nearmiss.miniature.build import build_model, build_processor, build_tokenizer

torch.set_num_threads(1)
PLAIN_WORDS = sorted(word[1:] for word in build_tokenizer().get_vocab() if word.startswith("▁") and len(word) > 1)


@cache
def image(seed: int) -> Image.Image:
    return Image.frombytes("RGB", (20, 20), Random(seed).randbytes(1200)).resize((100, 100))


def image_hash(seed: int) -> str:
    return hashlib.sha256(str(seed).encode()).hexdigest()


IMAGES = {image_hash(seed): seed for seed in range(16)}


def make_vlm(seed: int = 0, scale: float = 8.0) -> Vlm:
    """A random model. `scale` spreads its logits, so that answers differ clearly in probability."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    with torch.no_grad():
        model.lm_head.weight.mul_(scale)
        for layer in model.model.language_model.layers:
            for linear in (module for module in layer.modules() if isinstance(module, nn.Linear)):
                linear.weight.mul_(1.5)
    return Vlm(model, build_processor(tokenizer), lambda name: image(IMAGES[name]))


def sentence(rng: Random, words: int) -> str:
    return " ".join(rng.sample(PLAIN_WORDS, words)) + "."


def ask(seed: int | None, question: str) -> Conversation:
    """A question on the image of this seed, or on none."""
    images = () if seed is None else (ImagePart(sha256=image_hash(seed)),)
    return (Turn(role="user", content=(*images, TextPart(text=question))),)


def make_group(vlm: Vlm, rng: Random, rejected: int, name: str, image_seed: int | None = 0) -> Group:
    conversation = ask(image_seed, sentence(rng, rng.randint(3, 9)))
    prompt = vlm.prompt(conversation)
    answers = [vlm.answer(conversation, sentence(rng, rng.randint(2, 8))) for _ in range(rejected + 1)]
    pairs = tuple(f"{name}/{k}" for k in range(rejected))
    return Group(name, pairs, prompt.images, prompt.ids, answers[0], tuple(answers[1:]))


def make_groups(vlm: Vlm, count: int, rejected: tuple[int, ...] = (1, 2, 3), seed: int = 0) -> list[Group]:
    rng = Random(seed)
    return [make_group(vlm, rng, rejected[k % len(rejected)], f"g{k:03d}", k % len(IMAGES)) for k in range(count)]
