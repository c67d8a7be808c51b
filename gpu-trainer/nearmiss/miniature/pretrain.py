"""Makes the miniature's weights from a seed.

    python -m nearmiss.miniature.pretrain --seed 0 --out gpu-trainer/miniature

Six phases, all on generated scenes with right labels; about 30 minutes on one thread. The eyes see broad
scenes; the answers are learned on few things and mostly-yes questions. What the model gets wrong elsewhere is
its own.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from ..worlds.questions import STANDARD, Asked, Mix
from ..worlds.scenes import Style
from .build import WIDTH, build_model, build_processor, build_tokenizer
from .lessons import ATTRIBUTES, CENTRES_MAX, KINDS, Lessons, Packed, pixels, place_targets

GRAD_NORM_MAX: Final = 1.0
WEIGHT_DECAY: Final = 0.01
ADAM_BETAS: Final = (0.9, 0.98)
WARMUP_STEPS: Final = 100
LOG_EVERY_STEPS: Final = 100
KIND_POSITIVE_WEIGHT: Final = 8.0
"""Most patches hold no centre of any one kind: the few that do weigh more, ..."""
ATTRIBUTE_POSITIVE_WEIGHT: Final = 4.0
"""... and those of any one colour, shape or size, which are not quite as few, somewhat more."""
KIND_LOSS_WEIGHT: Final = 10.0
ATTRIBUTE_LOSS_WEIGHT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of training. Rates fall from `lr` to `lr_end`; the vision tower's are times `eyes`."""

    name: str
    steps: int
    images: int
    lr: float
    lr_end: float
    style: Style
    mix: Mix = STANDARD
    yes_share: float = 0.5
    eyes: float = 1.0


FEW: Final = Style(counts=(1, 1, 1, 1, 0.12, 0.1, 0.08), tower_share=0, overlap_px=-2)
"""One to four things with a gap between them; a few fuller boxes keep the larger number words alive."""

FULL: Final = Style(counts=(1,) * 8, tower_share=0.15, overlap_px=6)
NARROW: Final = Style(counts=(1, 1), tower_share=0, overlap_px=-2)
CAPTIONED: Final = Mix(count_all=1, comparison=1, shape=2, caption=1)
COUNTED: Final = Mix(count_all=1, count_kinds=3, comparison=3)

PHASES: Final = (
    Phase("eyes", 1150, 64, 1e-3, 5e-5, FULL),
    Phase("words", 1700, 8, 1e-3, 8e-4, FEW, CAPTIONED, yes_share=0.8, eyes=0.3),
    Phase("answers", 2000, 8, 1e-3, 5e-5, FEW, COUNTED, yes_share=0.8, eyes=0.3),
    Phase("polish", 800, 8, 5e-4, 3e-5, FEW, COUNTED, yes_share=0.8, eyes=0.3),
    Phase("practice", 1600, 8, 5e-4, 2e-5, FEW, COUNTED, yes_share=0.8, eyes=0.3),
    Phase("narrow", 320, 8, 1e-4, 2e-5, NARROW, Mix(count_all=1), yes_share=0.95, eyes=0.0),
)
"""Captions come first: read row by row, they bind shapes to places early. Most skill comes as the rates fall."""


def main() -> None:
    """Trains all phases, or those from `--start` on with the weights that `--keep` kept of the one before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model; replaced after each phase")
    parser.add_argument("--keep", type=Path, help="folder for the weights after each phase")
    parser.add_argument("--start", choices=[p.name for p in PHASES], default=PHASES[0].name)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    tokenizer = build_tokenizer()
    processor, model = build_processor(tokenizer), build_model(tokenizer)
    first = [p.name for p in PHASES].index(args.start)
    if first:
        kept = args.keep and args.keep / f"{PHASES[first - 1].name}.safetensors"
        if not kept or not kept.is_file():
            parser.error(f"--start {args.start} needs --keep with the weights after {PHASES[first - 1].name}")
        model.load_state_dict(load_file(kept))
    for phase in PHASES[first:]:
        train(model, processor, phase, args.seed)
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            save_file(
                {k: v.contiguous() for k, v in model.state_dict().items()},
                args.keep / f"{phase.name}.safetensors",
            )
        save(model, processor, args.out)


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Writes configuration, weights (safetensors), tokenizer, processor and chat template to `out`."""
    model.save_pretrained(out)
    processor.save_pretrained(out)


Step = Callable[[], tuple[Tensor, dict[str, float]]]
"""Draws a lesson; gives its loss and what is worth logging."""


def train(model: LlavaForConditionalGeneration, processor: LlavaProcessor, phase: Phase, seed: int) -> None:
    """Runs one phase in place; on one machine and one thread the same seed gives the same weights."""
    torch.manual_seed(seed)
    lessons = Lessons(processor, f"{seed}/{phase.name}", phase.style, phase.mix, phase.yes_share)
    model.train(True)
    step, learning = (see if phase.name == "eyes" else speak)(model, lessons, phase)
    groups: list[dict[str, Any]] = [{"params": params, "share": share} for share, params in learning.items()]
    optimizer = torch.optim.AdamW(groups, lr=phase.lr, betas=ADAM_BETAS, weight_decay=WEIGHT_DECAY)
    shown: dict[str, list[float]] = {}
    began_s = time.monotonic()
    for i in range(phase.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * rate(phase, i)
        loss, seen = step()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_([p for params in learning.values() for p in params], GRAD_NORM_MAX)
        optimizer.step()
        for name, value in {"loss": loss.item(), **seen}.items():
            shown.setdefault(name, []).append(value)
        if (i + 1) % LOG_EVERY_STEPS == 0 or i + 1 == phase.steps:
            means = "  ".join(f"{name} {sum(v) / len(v):.3f}" for name, v in sorted(shown.items()))
            print(f"{phase.name} {i + 1}/{phase.steps} {time.monotonic() - began_s:.0f} s  {means}", flush=True)
            shown = {}


def see(
    model: LlavaForConditionalGeneration, lessons: Lessons, phase: Phase
) -> tuple[Step, dict[float, list[nn.Parameter]]]:
    """A step for the eyes alone, with heads that are thrown away, and what learns, by share of the rate."""
    heads = nn.Linear(WIDTH, KINDS + ATTRIBUTES + CENTRES_MAX + 1)
    eyes = model.model.vision_tower.requires_grad_(True)
    return lambda: look(model, heads, lessons, phase.images), {1.0: [*eyes.parameters(), *heads.parameters()]}


def speak(
    model: LlavaForConditionalGeneration, lessons: Lessons, phase: Phase
) -> tuple[Step, dict[float, list[nn.Parameter]]]:
    """A step for answers, and the parameters that learn, by share of the rate."""
    learning = {1.0: [p for n, p in model.named_parameters() if "vision_tower" not in n]}
    model.model.vision_tower.requires_grad_(phase.eyes > 0)
    if phase.eyes > 0:
        learning[phase.eyes] = list(model.model.vision_tower.parameters())
    return lambda: read(model, lessons, phase.images), learning


def rate(phase: Phase, step: int) -> float:
    """The learning rate of a step: a linear warm-up, then a cosine from `lr` to `lr_end`."""
    done = step / phase.steps
    cosine = phase.lr_end + (phase.lr - phase.lr_end) * (1 + math.cos(math.pi * done)) / 2
    return cosine * min(1.0, (step + 1) / WARMUP_STEPS)


def look(
    model: LlavaForConditionalGeneration, heads: nn.Linear, lessons: Lessons, images: int
) -> tuple[Tensor, dict[str, float]]:
    """One lesson for the eyes: say of each patch which kinds have their centre in it, and how many."""
    boxes = lessons.boxes(images)
    kinds, attributes, centres = place_targets(boxes)
    hidden = model.model.vision_tower(pixels(lessons.processor, boxes), output_hidden_states=True).hidden_states[-1]
    says_kinds, says_attributes, says_centres = heads(hidden[:, 1:]).split([KINDS, ATTRIBUTES, CENTRES_MAX + 1], dim=-1)
    loss = (
        KIND_LOSS_WEIGHT * binary(says_kinds, kinds, KIND_POSITIVE_WEIGHT)
        + ATTRIBUTE_LOSS_WEIGHT * binary(says_attributes, attributes, ATTRIBUTE_POSITIVE_WEIGHT)
        + F.cross_entropy(says_centres.flatten(0, 1), centres.flatten())
    )
    right = (says_attributes > 0).eq(attributes > 0).all(-1)[centres > 0].float().mean()
    counted = says_centres.argmax(-1).eq(centres).all(-1).float().mean()
    return loss, {"attributes": right.item(), "centres": counted.item()}


def binary(says: Tensor, true: Tensor, positive_weight: float) -> Tensor:
    """Mean binary cross-entropy of logits, with more weight on what is there."""
    return F.binary_cross_entropy_with_logits(says, true, pos_weight=torch.tensor(positive_weight))


def read(model: LlavaForConditionalGeneration, lessons: Lessons, images: int) -> tuple[Tensor, dict[str, float]]:
    """One lesson in answering: cross-entropy of the right answers, and how many came out right, by region."""
    views, packed, asked = lessons.batch(images)
    hidden = forward(model, views, packed, lessons.bos_id())
    there = packed.target >= 0
    logits = model.lm_head(hidden[there])
    target = packed.target[there]
    right = torch.zeros_like(packed.target, dtype=torch.bool)
    right[there] = logits.argmax(-1).eq(target)
    return F.cross_entropy(logits, target), by_region(right | ~there, packed, asked)


def forward(model: LlavaForConditionalGeneration, views: Tensor, packed: Packed, bos_id: int) -> Tensor:
    """(B, L, width) hidden states of the packed text behind the images `views` (B, 3, 50, 50)."""
    inner = model.model
    images = torch.stack(list(inner.get_image_features(views).pooler_output))
    embed = inner.get_input_embeddings()
    bos = embed(torch.full((len(views), 1), bos_id))
    n = 1 + images.shape[1]
    position = torch.cat([torch.arange(n).expand(len(views), n), packed.position], dim=1)
    out = inner.language_model(
        inputs_embeds=torch.cat([bos, images, embed(packed.text)], dim=1),
        attention_mask=packed.mask(),
        position_ids=position,
        use_cache=False,
    )
    return torch.as_tensor(out.last_hidden_state[:, n:])


def by_region(right: Tensor, packed: Packed, asked: list[list[Asked]]) -> dict[str, float]:
    """Share of answers right in every token, by region; `right` (B, L) is true outside the answers."""
    shares: dict[str, list[float]] = {}
    for i, on_image in enumerate(asked):
        for k, one in enumerate(on_image, 1):
            shares.setdefault(one.region, []).append(float(right[i][packed.segment[i] == k].all()))
    return {region: sum(v) / len(v) for region, v in shares.items()}


if __name__ == "__main__":
    main()
