"""Events on their way, as JSON text with the images they are about."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

EVENTS_PER_REQUEST: Final = 500
REQUEST_BYTES: Final = 1_000_000
EVENT_BYTES: Final = REQUEST_BYTES - 100
"""An event that fills a request alone; the rest is the request's own brackets."""
IMAGE_BYTES: Final = 8_000_000


class BadEvent(Exception):
    """An event that can never be sent. The message says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its JSON text, and the bytes of its images by hash (as far as they have to be sent)."""

    text: bytes
    images: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.text) + sum(map(len, self.images.values()))


def make_event(fields: Mapping[str, Any], images: Mapping[str, bytes]) -> Event:
    """The event as it is now; later changes of `fields` by the host are not seen. Raises `BadEvent`.

    An `eventId` and an `occurredAt` are added if they are missing.
    """
    whole = {"eventId": uuid4().hex, "occurredAt": time.time_ns() // 1_000_000, **fields}
    try:
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadEvent(f"no JSON: {type(error).__name__}") from None
    if len(text) > EVENT_BYTES:
        raise BadEvent(f"{len(text)} bytes, the limit is {EVENT_BYTES}")
    for data in images.values():
        if len(data) > IMAGE_BYTES:
            raise BadEvent(f"an image of {len(data)} bytes, the limit is {IMAGE_BYTES}")
    return Event(text, dict(images))


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
