"""The miniature LVLM from configuration: transformers' own LLaVA of 1.5M parameters, words and processor."""

from __future__ import annotations

from typing import Any, Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

IMAGE_PX: Final = 50
"""A box of 100 px is seen at half its size."""
PATCH_PX: Final = 10
IMAGE_TOKENS: Final = (IMAGE_PX // PATCH_PX) ** 2
WIDTH: Final = 128
HEADS: Final = 4
VISION_LAYERS: Final = 3
VISION_MLP: Final = 512
TEXT_LAYERS: Final = 4
TEXT_MLP: Final = 384
POSITIONS_MAX: Final = 512
INIT_STD: Final = 0.04

PAD, BOS, EOS, UNK, IMAGE, USER, ASSISTANT = SPECIALS = (
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "<user>",
    "<assistant>",
)

CHAT_TEMPLATE: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% set parts = [{'type': 'text', 'text': message['content']}] "
    "if message['content'] is string else message['content'] %}"
    "{% for part in parts %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{{ '<user>' if message['role'] == 'user' else '<assistant>' }}"
    "{% for part in parts %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""The image stands before the first word, so that all questions on it share one prefix."""

_WORDS: Final = """
. , ? How many What color colour size shape Is Are there Where Describe There Yes No The the It it is are
was not of a an objects object are in the box picture image can you see one thing things any some only and
or than as more fewer less most many few equal same number no zero one two three four five six seven eight
nine ten eleven twelve 0 1 2 3 4 5 6 7 8 9 10 11 12 circle circles square squares triangle triangles
rectangle rectangles star stars diamond diamonds oval ovals hexagon hexagons pentagon pentagons cross
crosses ring rings line lines dot dots black yellow blue red green white grey gray orange purple brown pink
small medium big large tiny huge little tall short middle-sized biggest smallest largest bigger smaller
larger at on top bottom left right centre center middle corner edge side upper lower above below under over
beneath beside behind front near next far between inside outside touching relative to from relation seen
with without all both neither none each every other another different first second this that these those has
have contains shows tower stack row
"""
"""Every word of the worlds' questions and answers and of their near misses, and some neighbours."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; words keep the space before them, so that decoding gives the sentence back."""
    marked = [word if word in ".,?" else f"▁{word}" for word in dict.fromkeys(_WORDS.split())]
    vocab = {token: i for i, token in enumerate([*SPECIALS, *marked])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True),
            pre_tokenizers.Split(Regex(r"[.,?]$"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    tokenizer.add_special_tokens(list(SPECIALS))
    fast: Any = PreTrainedTokenizerFast  # its constructor has no types
    built: PreTrainedTokenizerFast = fast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        extra_special_tokens={"image_token": IMAGE, "user_token": USER, "assistant_token": ASSISTANT},
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=POSITIONS_MAX,
    )
    return built


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """LLaVA's processor: pictures to 50 px, `<image>` to 25 tokens, and the chat template."""
    images = CLIPImageProcessorPil(
        size={"height": IMAGE_PX, "width": IMAGE_PX},
        do_center_crop=False,
        crop_size={"height": IMAGE_PX, "width": IMAGE_PX},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    llava: Any = LlavaProcessor  # its constructor has no types
    built: LlavaProcessor = llava(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    )
    return built


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """The model with fresh weights from torch's current seed."""
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=VISION_MLP,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=IMAGE_PX,
        patch_size=PATCH_PX,
        projection_dim=WIDTH,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=TEXT_MLP,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=POSITIONS_MAX,
        initializer_range=INIT_STD,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.get_vocab()[IMAGE],
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model
