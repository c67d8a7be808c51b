"""The miniature LVLM as a client deploys it: many questions on many images, each image computed once."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    DynamicCache,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

ANSWER_TOKENS_MAX: Final = 48
"""Longest answer; a description of nine things needs 47."""

IMAGES_PER_BATCH: Final = 64
QUESTIONS_PER_BATCH: Final = 512

Picture = bytes | Image.Image


class ModelError(Exception):
    """The folder of a model or an adapter cannot be loaded; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Miniature:
    """A LLaVA with its processor, LoRA adapter or not. Answers are those of greedy `generate()`."""

    model: LlavaForConditionalGeneration
    """The bare LLaVA; an adapter's layers are inside it."""
    processor: LlavaProcessor
    device: torch.device

    @classmethod
    def load(cls, path: Path, device: str = "cpu", adapter: Path | None = None) -> Miniature:
        """Loads the folder of the model and, if given, the folder of an adapter that peft saved.

        Raises ModelError if either cannot be loaded.
        """
        if not (path / "config.json").is_file():
            raise ModelError(f"no model in {path}: it has no config.json")
        try:
            model = LlavaForConditionalGeneration.from_pretrained(path, local_files_only=True)
            processor = LlavaProcessor.from_pretrained(path, local_files_only=True)
            if adapter is not None:
                model = _with_adapter(model, adapter)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"cannot load {adapter or path}: {error}") from error
        return cls.wrap(model, processor, device)

    @classmethod
    def wrap(cls, model: Any, processor: LlavaProcessor, device: str = "cpu") -> Miniature:
        """Answers with a model that is already there: a LLaVA, or a PeftModel around one."""
        bare = model.get_base_model() if hasattr(model, "get_base_model") else model
        return cls(bare.to(device), processor, torch.device(device))

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        tokenizer: PreTrainedTokenizerFast = self.processor.tokenizer
        return tokenizer

    def answer(self, images: Sequence[Picture], questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """The answers to `questions[i]`, a list for each image (PNG bytes or PIL image), in the same order.

        Raises ValueError if there is not one list of questions for each image.
        """
        if len(images) != len(questions):
            raise ValueError(f"{len(images)} images, but {len(questions)} lists of questions")
        was_training = self.model.training
        self.model.train(False)
        answers: list[list[str]] = []
        try:
            for first, end in _spans([len(q) for q in questions]):
                answers += self._batch(images[first:end], questions[first:end])
        finally:
            self.model.train(was_training)
        return answers

    @torch.inference_mode()
    def _batch(self, images: Sequence[Picture], questions: Sequence[Sequence[str]]) -> list[list[str]]:
        prompts = [self._question_ids(q) for on_image in questions for q in on_image]
        if not prompts:
            return [[] for _ in questions]
        owner = torch.tensor([i for i, on_image in enumerate(questions) for _ in on_image])
        texts = iter(self._greedy(self._prefix(images), owner, prompts))
        return [[next(texts) for _ in on_image] for on_image in questions]

    def _prefix(self, images: Sequence[Picture]) -> DynamicCache:
        """Keys and values of begin-of-text and the image tokens, one row an image."""
        inner = self.model.model
        views = self.processor.image_processor([_open(i) for i in images], return_tensors="pt")
        pixels = views["pixel_values"].to(self.device)
        features = torch.stack(list(inner.get_image_features(pixels).pooler_output))
        bos = torch.full((len(images), 1), self.tokenizer.bos_token_id, device=self.device)
        embeds = torch.cat([inner.get_input_embeddings()(bos), features], dim=1)
        cache = DynamicCache()
        inner.language_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        return cache

    def _greedy(self, cache: DynamicCache, owner: Tensor, prompts: list[list[int]]) -> list[str]:
        """Decodes Q prompts (token lists; prompt k is on image `owner[k]`) behind their prefixes."""
        prefix = cache.get_seq_length()
        cache.batch_select_indices(owner.to(self.device))
        width = max(map(len, prompts))
        pad, eos = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=self.device)
        padding = torch.tensor([width - len(p) for p in prompts], device=self.device)
        column = torch.arange(width, device=self.device)
        real = column[None, :] >= padding[:, None]
        visible = torch.cat([torch.ones(len(ids), prefix, dtype=torch.bool, device=self.device), real], dim=1)
        position = (prefix + column[None, :] - padding[:, None]).clamp(min=0)
        causal = torch.ones(width, prefix + width, dtype=torch.bool, device=self.device).tril(prefix)
        mask = visible[:, None, None, :] & causal
        rows, said = torch.arange(len(ids)), [list[int]() for _ in prompts]
        for _ in range(ANSWER_TOKENS_MAX):
            out = self.model.model.language_model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
            )
            chosen = self.model.lm_head(out.last_hidden_state[:, -1]).argmax(-1)
            going = chosen != eos
            for row, token in zip(rows[going.cpu()].tolist(), chosen[going].tolist(), strict=True):
                said[row].append(token)
            if not going.any():
                break
            if not going.all():
                cache.batch_select_indices(going.nonzero().flatten())
                rows, chosen, visible, position = (
                    rows[going.cpu()],
                    chosen[going],
                    visible[going],
                    position[going],
                )
            visible = torch.cat([visible, torch.ones_like(visible[:, :1])], dim=1)
            ids, position, mask = chosen[:, None], position[:, -1:] + 1, visible[:, None, None, :]
        return [str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip() for tokens in said]

    def _question_ids(self, question: str) -> list[int]:
        """Tokens of the chat template from behind the image on, up to where the answer begins."""
        text = prompt(self.processor, question)
        after = text.index(self.processor.image_token) + len(self.processor.image_token)
        ids: list[int] = self.tokenizer(text[after:], add_special_tokens=False)["input_ids"]
        return ids


def prompt(processor: LlavaProcessor, question: str) -> str:
    """The text of one question on one image in the model's chat template, ready for the processor."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    turns: list[Any] = [{"role": "user", "content": content}]
    return str(processor.apply_chat_template(turns, add_generation_prompt=True))


def _with_adapter(model: LlavaForConditionalGeneration, adapter: Path) -> Any:
    from peft import PeftModel  # here, so that serving the base model does not need peft

    if not (adapter / "adapter_config.json").is_file():
        raise ModelError(f"no adapter in {adapter}: it has no adapter_config.json")
    return PeftModel.from_pretrained(model, str(adapter))


def _open(image: Picture) -> Image.Image:
    opened = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
    return opened.convert("RGB")


def _spans(counts: list[int]) -> Iterator[tuple[int, int]]:
    """Cuts the images into runs (first, end) that keep to the limits of a batch; at least one image each."""
    first, questions = 0, 0
    for i, n in enumerate(counts):
        if i > first and (i - first >= IMAGES_PER_BATCH or questions + n > QUESTIONS_PER_BATCH):
            yield first, i
            first, questions = i, 0
        questions += n
    if first < len(counts):
        yield first, len(counts)
