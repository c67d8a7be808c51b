"""A LLaVA-type model with its processor: prompts to tokens, images to features, rows to hidden states."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoProcessor, Cache, LlavaForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.logging import disable_progress_bar

from ..contract import Turn
from .layout import Rows

FEATURE_CACHE_BYTES: Final = 2_000_000_000
"""Image features kept in memory; vision tower and projector are frozen, so they are good for the whole round."""
IMAGES_PER_PASS: Final = 32

ImageLoader = Callable[[str], Image.Image]
"""The decoded image of a hash. Raises `BadImage` when there is none."""


class BadImage(Exception):
    """An image that is missing, is not what its hash says, or can not be decoded. The message says which."""


class BadText(Exception):
    """A text that the model can not be trained on. The message says why."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a conversation, ready for the answer; each image takes as many image tokens as it has features."""

    ids: tuple[int, ...]
    images: tuple[str, ...]


def decode_image(data: bytes) -> Image.Image:
    """The RGB image in `data`. Raises `BadImage`."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"can not be decoded ({type(error).__name__})") from None


class Vlm:
    """A model, its processor and its images. All of it is frozen; adapters add what is trained."""

    def __init__(self, model: Any, processor: Any, load_image: ImageLoader) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.load_image = load_image
        self.image_token_id: int = model.config.image_token_id
        self.max_positions: int = model.config.text_config.max_position_embeddings
        self._features: OrderedDict[str, Tensor] = OrderedDict()
        self._feature_bytes = 0
        self._image_tokens: dict[str, int] = {}

    @classmethod
    def load(cls, path: Path, load_image: ImageLoader, device: str = "cpu", dtype: str = "float32") -> Vlm:
        """The model saved in the folder `path`. Nothing is fetched from elsewhere. Raises OSError or ValueError."""
        disable_progress_bar()  # type: ignore[no-untyped-call]
        model: Any = LlavaForConditionalGeneration.from_pretrained(
            path, dtype=getattr(torch, dtype), local_files_only=True, attn_implementation="sdpa"
        )
        processor = AutoProcessor.from_pretrained(path, local_files_only=True, backend="pil")  # type: ignore[no-untyped-call]
        return cls(model.to(device=device), processor, load_image)

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    @property
    def pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)

    @property
    def language_model(self) -> nn.Module:
        layers: nn.Module = self.model.model.language_model
        return layers

    def prompt(self, conversation: Sequence[Turn]) -> Prompt:
        """The conversation as the chat template writes it, up to where the answer begins. Raises `BadImage`."""
        images = [part.sha256 for turn in conversation for part in turn.content if part.type == "image"]
        text = self._render(conversation, None)
        ids = self._tokens(text, special=not text.startswith(self.tokenizer.bos_token or "\0"))
        waiting = iter(images)
        expanded: list[int] = []
        for token in ids:
            expanded += [token] * (self._tokens_of_image(next(waiting, None)) if token == self.image_token_id else 1)
        if next(waiting, None) is not None:
            raise BadText("the chat template left out an image")
        return Prompt(tuple(expanded), tuple(images))

    def answer(self, conversation: Sequence[Turn], answer: str) -> tuple[int, ...]:
        """The tokens with which the model would give this answer, its end included. Raises `BadText`."""
        if not answer.strip():
            raise BadText("is empty")
        before = self._render(conversation, None)
        after = self._render(conversation, answer)
        if not after.startswith(before):
            raise BadText("the chat template rewrites the prompt when an answer follows")
        text = after[len(before) :].rstrip()
        ids = self._tokens(text, special=False)
        if self.image_token_id in ids:
            raise BadText("holds an image token")
        unknown = self.tokenizer.unk_token_id
        if unknown is not None and unknown in ids:
            raise BadText("holds a word that the tokenizer does not know")
        end = int(self.tokenizer.eos_token_id)
        return tuple(ids if ids and ids[-1] == end else [*ids, end])

    def hidden(self, rows: Rows, images: Sequence[str], cache: Cache | None = None) -> Tensor:
        """(B, L, D) last hidden states of the rows; `images` are those of all rows, in order. Fills `cache`."""
        given: dict[str, Any] = {}
        if images:
            features: Any = self.features(images)  # transformers takes a list here, whatever its annotation says
            given["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(pooler_output=features)}
        return self._hidden(rows.ids, rows.positions, rows.mask, cache, **given)

    def next_hidden(self, ids: Tensor, positions: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        """(B, Q, D) hidden states of (B, Q) further tokens after what `cache` holds; `mask` is (B, 1, Q, all keys)."""
        return self._hidden(ids, positions, mask, cache)

    def _hidden(self, ids: Tensor, positions: Tensor, mask: Tensor, cache: Cache | None, **given: Any) -> Tensor:
        output = self.model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            **given,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def features(self, images: Sequence[str]) -> list[Tensor]:
        """The projected features (image tokens, D) of each image, computed once. Raises `BadImage`."""
        wanted = dict.fromkeys(images)
        missing = [image for image in wanted if image not in self._features]
        found = {image: self._features[image] for image in wanted if image in self._features}
        for begin in range(0, len(missing), IMAGES_PER_PASS):
            chunk = missing[begin : begin + IMAGES_PER_PASS]
            found |= zip(chunk, self._encode([self.load_image(image) for image in chunk]), strict=True)
        for image in wanted:
            self._keep(image, found[image])
        return [found[image] for image in images]

    @torch.no_grad()
    def _encode(self, images: list[Image.Image]) -> list[Tensor]:
        pixels = self.processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self.device, self.model.dtype)
        return list(self.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output)

    def _keep(self, image: str, features: Tensor) -> None:
        self._image_tokens[image] = features.shape[0]
        if image not in self._features:
            self._feature_bytes += features.numel() * features.element_size()
        self._features[image] = features
        self._features.move_to_end(image)
        while self._feature_bytes > FEATURE_CACHE_BYTES and len(self._features) > 1:
            _, old = self._features.popitem(last=False)
            self._feature_bytes -= old.numel() * old.element_size()

    def _tokens_of_image(self, image: str | None) -> int:
        if image is None:
            raise BadText("the text holds an image token that is no image")
        if image not in self._image_tokens:
            self.features([image])
        return self._image_tokens[image]

    def _render(self, conversation: Sequence[Turn], answer: str | None) -> str:
        turns: list[dict[str, Any]] = [
            {
                "role": turn.role,
                "content": [
                    {"type": "image"} if part.type == "image" else {"type": "text", "text": part.text}
                    for part in turn.content
                ],
            }
            for turn in conversation
        ]
        if answer is not None:
            turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        text: str = self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer is None)
        return text

    def _tokens(self, text: str, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids
