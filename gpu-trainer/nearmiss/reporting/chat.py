"""From what OpenAI's chat completions take to the fields of an event."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from .events import IMAGE_BYTES, BadEvent, LazyImage

Resolver = Callable[[str], bytes]
"""The bytes of the image at a link. May raise: the event is then not sent."""

ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
DECODING: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "n",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "reasoning_effort",
    "verbosity",
)
SETTING_CHARS: Final = 200


def conversation_of(messages: object, resolver: Resolver | None) -> list[dict[str, Any]]:
    """The turns. Images are decoded later; links are left to `resolver`.

    Tool calls and tool messages of earlier turns are left out. Raises `BadEvent` when the answer rests on something an
    event can not hold: tool results that came after the user's last turn, audio, files.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise BadEvent("messages that are no list")
    turns: list[dict[str, Any]] = []
    rests_on_tools = False
    for message in messages:
        role = ROLES.get(str(field_of(message, "role")))
        rests_on_tools = role is None or (rests_on_tools and role != "user")
        content = _parts(field_of(message, "content"), resolver) if role else ()
        if content:
            turns.append({"role": role, "content": content})
    if rests_on_tools:
        raise BadEvent("an answer that rests on the results of tools")
    if not turns or turns[-1]["role"] != "user":
        raise BadEvent("a conversation that does not end with the user")
    return turns


def decoding_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among the arguments of a request, those of `extra_body` too."""
    extra = request.get("extra_body")
    given = {**extra, **request} if isinstance(extra, Mapping) else request
    return {name: given[name] for name in DECODING if _is_setting(given.get(name))}


def field_of(thing: object, name: str) -> Any:
    """A field of a mapping or of an object; None if it has none."""
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def decode_data_url(url: str) -> bytes:
    """The bytes in a `data:` URL (RFC 2397). Raises ValueError, `BadEvent`."""
    head, comma, payload = url.partition(",")
    if not comma:
        raise BadEvent("a data URL without data")
    if not head.endswith(";base64"):
        return unquote_to_bytes(payload)
    if len(payload) > IMAGE_BYTES * 4 // 3 + 4:
        raise BadEvent(f"an image of more than {IMAGE_BYTES} bytes")
    return base64.b64decode(payload)


def _parts(content: object, resolver: Resolver | None) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    parts: list[dict[str, Any]] = []
    for part in content if isinstance(content, Sequence) else ():
        kind = str(field_of(part, "type"))
        if kind == "image_url":
            link = field_of(part, kind)
            url = link if isinstance(link, str) else field_of(link, "url")
            parts.append({"type": "image", "sha256": _image(url, resolver)})
        elif kind not in ("text", "refusal"):
            raise BadEvent("a message with a part that is neither text nor image")
        elif field_of(part, kind):
            parts.append({"type": "text", "text": field_of(part, kind)})
    return parts


def _image(url: object, resolver: Resolver | None) -> LazyImage:
    if not isinstance(url, str):
        raise BadEvent("an image without a URL")
    if url[:5].lower() == "data:":
        return LazyImage(partial(decode_data_url, url), len(url))
    if resolver is None:
        raise BadEvent("an image behind a link, and no resolver")
    return LazyImage(partial(resolver, url), len(url))


def _is_setting(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= SETTING_CHARS
    return isinstance(value, bool | int | float) and math.isfinite(value)
