"""One batch to the API: missing images first, then the events, then what became of each."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import httpx

from .events import Event, request_body

CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 30.0
RESPONSE_BYTES_MAX: Final = 4_000_000
HASHES_PER_REQUEST: Final = 1_000
KNOWN_IMAGES_MAX: Final = 100_000
"""Hashes remembered as stored, so that they are not asked for again."""
TOO_LARGE: Final = 413
REFUSED: Final = frozenset({400, 413, 415, 422})
"""Answers that blame the request itself: to send it again would be in vain."""
STATUSES: Final = frozenset({"stored", "duplicate", "conflict", "invalid"})


class Unsent(Exception):
    """The API is away, overloaded, closed to this key, or talks nonsense: to be tried again. Fit for a log."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class _Refused(Exception):
    """The API does not want this very request."""


class Sender:
    """The connection. Every request may be repeated blindly: images are named by content, events by their id."""

    def __init__(self, base_url: str, key: str, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
            timeout=httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S),
        )
        self._known: OrderedDict[str, None] = OrderedDict()

    def close(self) -> None:
        self._client.close()

    def send(self, events: Sequence[Event]) -> Counter[str]:
        """Sends the batch. Returns how many events had which status; raises `Unsent` if that is not known of all."""
        counts: Counter[str] = Counter()
        counts["images"] = self._send_images({name: data for event in events for name, data in event.images.items()})
        return counts + self._send_events(events)

    def _send_events(self, events: Sequence[Event]) -> Counter[str]:
        try:
            answer = self._json("POST", "/v1/failures", request_body(events))
        except _Refused:
            if len(events) == 1:
                return Counter(invalid=1)
            middle = len(events) // 2
            return self._send_events(events[:middle]) + self._send_events(events[middle:])
        results = answer.get("results")
        listed = results if isinstance(results, list) else []
        statuses = [str(one.get("status")) for one in listed if isinstance(one, dict)]
        if len(statuses) != len(events) or not STATUSES.issuperset(statuses):
            raise Unsent("the answer does not say what became of each event")
        return Counter(statuses)

    def _send_images(self, images: dict[str, bytes]) -> int:
        asked = [name for name in images if name not in self._known]
        sent = 0
        for begin in range(0, len(asked), HASHES_PER_REQUEST):
            chunk = asked[begin : begin + HASHES_PER_REQUEST]
            try:
                missing = self._json("POST", "/v1/images/missing", json.dumps({"sha256": chunk}).encode()).get(
                    "missing"
                )
            except _Refused:
                missing = []  # a hash that is none; the events say so themselves
            if not isinstance(missing, list):
                raise Unsent("the answer does not say which images are missing")
            for name in (name for name in missing if name in images):
                sent += self._send_image(name, images[name])
            self._remember(chunk)
        return sent

    def _send_image(self, name: str, data: bytes) -> int:
        try:
            self._json("PUT", f"/v1/images/{name}", data, "application/octet-stream")
        except _Refused:
            return 0  # not an image the API takes; the event is still worth sending
        return 1

    def _remember(self, images: Sequence[str]) -> None:
        for name in images:
            self._known[name] = None
        while len(self._known) > KNOWN_IMAGES_MAX:
            self._known.popitem(last=False)

    def _json(self, method: str, path: str, body: bytes, media_type: str = "application/json") -> dict[str, Any]:
        """The answer's JSON object. Raises `Unsent`, `_Refused`."""
        try:
            with self._client.stream(method, path, content=body, headers={"content-type": media_type}) as response:
                if response.status_code in REFUSED:
                    raise _Refused
                if not response.is_success:
                    after = response.headers.get("retry-after", "")
                    raise Unsent(f"{method}: status {response.status_code}", float(after) if after.isdigit() else 0.0)
                answer = json.loads(_limited(response))
        except httpx.HTTPError as error:
            raise Unsent(f"{method}: {type(error).__name__}") from None
        except ValueError:
            raise Unsent(f"{method}: the answer is no JSON") from None
        if not isinstance(answer, dict):
            raise Unsent(f"{method}: the answer is no JSON object")
        return answer


def _limited(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > RESPONSE_BYTES_MAX:
            raise Unsent("the answer is too long")
        parts.append(part)
    return b"".join(parts)
