"""From the batch's lines to groups of tokens. What can not be trained on is refused with a reason, never cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .contract import Conversation, GateLine, PairLine
from .engine.groups import Group
from .engine.model import BadImage, BadText, Prompt, Vlm


@dataclass(frozen=True, slots=True)
class Prepared:
    """Each pair of the batch is in one group or has a refusal."""

    groups: tuple[Group, ...]
    """What is trained on."""
    scored: tuple[Group, ...]
    """What is only scored. No group is both, so that nothing of these can reach a loss."""
    refused: dict[str, str]
    """Reason by pair id."""

    @property
    def all(self) -> tuple[Group, ...]:
        return (*self.groups, *self.scored)


def images_of(conversation: Conversation) -> list[str]:
    """Image hashes in order of appearance, repeats kept."""
    return [part.sha256 for turn in conversation for part in turn.content if part.type == "image"]


def prepare(vlm: Vlm, pairs: Sequence[PairLine], bad_images: Mapping[str, str]) -> Prepared:
    """Tokenises the batch. `bad_images` are hashes that can not be used, with the reason."""
    together: dict[tuple[str, str, Conversation, str], list[PairLine]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair.id):
        together[(pair.use, pair.group, pair.conversation, pair.chosen)].append(pair)
    groups: dict[str, list[Group]] = {"train": [], "score": []}
    refused: dict[str, str] = {}
    for (use, *_), members in together.items():
        group, problems = _prepare_group(vlm, members, bad_images)
        refused |= problems
        if group:
            groups[use].append(group)
    return Prepared(tuple(groups["train"]), tuple(groups["score"]), refused)


def prompt_of(vlm: Vlm, conversation: Conversation, bad_images: Mapping[str, str]) -> Prompt:
    """The prompt's tokens. Raises `BadImage` or `BadText` with the whole reason."""
    for image in images_of(conversation):
        if image in bad_images:
            raise BadImage(f"image {image[:12]} {bad_images[image]}")
    prompt = vlm.prompt(conversation)
    if len(prompt.ids) >= vlm.max_positions:
        raise BadText(f"the prompt has {len(prompt.ids)} tokens, the model takes {vlm.max_positions}")
    return prompt


def gate_prompts(vlm: Vlm, items: Iterable[GateLine], bad_images: Mapping[str, str]) -> dict[str, Prompt]:
    """The gate's prompts by item; an item that can not be asked judges nothing."""
    prompts: dict[str, Prompt] = {}
    for item in items:
        try:
            prompts[item.id] = prompt_of(vlm, item.conversation, bad_images)
        except (BadImage, BadText):
            continue
    return prompts


def _prepare_group(
    vlm: Vlm, members: Sequence[PairLine], bad_images: Mapping[str, str]
) -> tuple[Group | None, dict[str, str]]:
    first = members[0]
    try:
        prompt = prompt_of(vlm, first.conversation, bad_images)
        chosen = _answer(vlm, first.conversation, prompt, first.chosen, "chosen")
    except (BadImage, BadText) as error:
        return None, {pair.id: str(error) for pair in members}
    rejected: dict[str, tuple[int, ...]] = {}
    refused: dict[str, str] = {}
    for pair in members:
        try:
            tokens = _answer(vlm, pair.conversation, prompt, pair.rejected, "rejected")
            if tokens == chosen:
                raise BadText("chosen and rejected are the same answer")
            rejected[pair.id] = tokens
        except BadText as error:
            refused[pair.id] = str(error)
    if not rejected:
        return None, refused
    predicted = fmean(pair.predicted for pair in members if pair.id in rejected)
    name = min(rejected)
    return Group(name, tuple(rejected), prompt.images, prompt.ids, chosen, tuple(rejected.values()), predicted), refused


def _answer(vlm: Vlm, conversation: Conversation, prompt: Prompt, answer: str, which: str) -> tuple[int, ...]:
    try:
        tokens = vlm.answer(conversation, answer)
    except BadText as error:
        raise BadText(f"{which} {error}") from None
    if len(prompt.ids) + len(tokens) > vlm.max_positions:
        raise BadText(
            f"prompt and {which} have {len(prompt.ids) + len(tokens)} tokens, the model takes {vlm.max_positions}"
        )
    return tokens


def pairs_in(groups: Iterable[Group]) -> list[str]:
    """The pair ids of the groups."""
    return [pair for group in groups for pair in group.pair_ids]
