"""Events on their way: as the host gave them, and as they are sent, JSON text with the images they are about."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal

from .ids import new_event_id

EVENTS_PER_REQUEST: Final = 500
REQUEST_BYTES: Final = 1_000_000
EVENT_BYTES: Final = REQUEST_BYTES - 100
"""An event that fills a request alone; the rest is the request's own brackets."""
IMAGE_BYTES: Final = 8_000_000
SHA256: Final = re.compile("[0-9a-f]{64}")

Kind = Literal["failures", "pairs"]
"""What an event is: the last part of the path it is sent to."""
Redact = Callable[[dict[str, Any]], dict[str, Any] | None]


class BadEvent(Exception):
    """An event that can never be sent. The message says why."""


class RedactionFailed(Exception):
    """The host's redaction raised, or gave what is no event. The message says which, and nothing of the event."""


@dataclass(frozen=True, slots=True)
class LazyImage:
    """An image whose bytes are made later, on the reporter's thread. `make` may raise: the event is then not sent."""

    make: Callable[[], bytes]
    held_bytes: int
    """Memory that it keeps until then."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as it was when the host reported it, neither hashed nor redacted."""

    kind: Kind
    event_id: str
    text: bytes
    images: Mapping[str, bytes]
    """By hash."""
    unhashed: Mapping[str, bytes | LazyImage]
    """By what stands in the text where their hash belongs."""
    has_correction: bool

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        held = sum(one.held_bytes if isinstance(one, LazyImage) else len(one) for one in self.unhashed.values())
        return len(self.text) + sum(map(len, self.images.values())) + held


@dataclass(frozen=True, slots=True)
class Event:
    """An event ready to be sent: its JSON text, and by hash the bytes of its images, as far as they have to be sent."""

    kind: Kind
    text: bytes
    images: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.text) + sum(map(len, self.images.values()))


def make_draft(kind: Kind, fields: Mapping[str, Any], images: Mapping[str, bytes]) -> Draft:
    """The event as it is now; later changes of `fields` by the host are not seen. Raises `BadEvent`.

    An `eventId` and an `occurredAt` are added if they are missing. Image bytes are kept by reference; where a
    `sha256` is wanted, the bytes themselves may stand, or a `LazyImage`.
    """
    unhashed: dict[str, bytes | LazyImage] = {}

    def stand_in(value: Any) -> str:
        if not isinstance(value, bytes | LazyImage):
            raise TypeError
        name = os.urandom(32).hex()
        unhashed[name] = value
        return name

    whole = {"eventId": new_event_id(), "occurredAt": time.time_ns() // 1_000_000, **fields}
    text = _encode(whole, stand_in)
    for name in unhashed:
        if f'"sha256":"{name}"'.encode() not in text:
            raise BadEvent("bytes where no hash belongs")
    if not all(isinstance(name, str) and SHA256.fullmatch(name) for name in images):
        raise BadEvent("an image whose name is no SHA-256")
    for data in (*images.values(), *(one for one in unhashed.values() if isinstance(one, bytes))):
        _check_image(data)
    return Draft(kind, str(whole["eventId"]), text, dict(images), unhashed, bool(whole.get("correction")))


def finish(draft: Draft, redact: Redact | None) -> Event | None:
    """The event to send, or None if the redaction wants it withheld. Raises `BadEvent`, `RedactionFailed`."""
    text, images = draft.text, dict(draft.images)
    for name, source in draft.unhashed.items():
        data = _made(source) if isinstance(source, LazyImage) else source
        digest = sha256(data).hexdigest()
        text = text.replace(name.encode(), digest.encode())
        images[digest] = data
    if redact is None:
        return Event(draft.kind, text, images)
    try:
        redacted = redact(json.loads(text))
    except (Exception, SystemExit) as error:
        raise RedactionFailed(type(error).__name__) from None
    if redacted is None:
        return None
    if not isinstance(redacted, dict):
        raise RedactionFailed(f"it returned {type(redacted).__name__}")
    text = _encode(redacted, None)
    return Event(draft.kind, text, {name: data for name, data in images.items() if name.encode() in text})


def batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """The events in order, in batches that each fit a request."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and (len(batch) == EVENTS_PER_REQUEST or size + len(event.text) + 1 > EVENT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event.text) + 1
    if batch:
        yield batch


def request_body(events: Iterable[Event]) -> bytes:
    return b'{"events":[' + b",".join(event.text for event in events) + b"]}"


def _encode(fields: dict[str, Any], default: Callable[[Any], str] | None) -> bytes:
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadEvent(f"no JSON: {type(error).__name__}") from None
    if len(text) > EVENT_BYTES:
        raise BadEvent(f"more than {EVENT_BYTES} bytes")
    return text


def _made(image: LazyImage) -> bytes:
    try:
        data = image.make()
    except (Exception, SystemExit) as error:
        raise BadEvent(f"an image could not be had: {type(error).__name__}") from None
    _check_image(data)
    return data


def _check_image(data: object) -> None:
    if not isinstance(data, bytes):
        raise BadEvent(f"an image that is {type(data).__name__}, not bytes")
    if len(data) > IMAGE_BYTES:
        raise BadEvent(f"an image of more than {IMAGE_BYTES} bytes")
