"""One batch to the API: missing images first, then the events, then what became of each."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

import httpx

from .events import Event, Kind, batches, request_body
from .retry import Unsent, retry_after_s

CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 30.0
"""Longest silence of the API, and longest time in all for the body of an answer."""
RESPONSE_BYTES_MAX: Final = 4_000_000
GZIP_BYTES_MIN: Final = 1_000
"""Smaller bodies are not worth it."""
GZIP_LEVEL: Final = 6
HASHES_PER_REQUEST: Final = 1_000
KNOWN_IMAGES_MAX: Final = 100_000
KNOWN_IMAGE_S: Final = 3_600.0
"""How long an image is remembered as stored, so that it is not asked for again."""
PROBLEM_CHARS: Final = 200
REFUSED: Final = frozenset({400, 413, 415, 422})
"""Answers that blame the request itself: to send it again would be in vain."""
CLOSED: Final = frozenset({401, 403, 404, 405})
"""Answers that blame the key or the address: that lasts until a person sees to it."""
STATUSES: Final = frozenset({"stored", "duplicate", "queued", "conflict", "invalid"})


class _Refused(Exception):
    """The API does not want this very request."""


class Sender:
    """The connection. Every request may be repeated blindly: images are named by content, events by their id."""

    def __init__(self, base_url: str, key: str, read_timeout_s: float, tell: Callable[[str], None]) -> None:
        """`tell` hears why the API did not take an event."""
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"authorization": f"Bearer {key}", "accept-encoding": "identity"},
            timeout=httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S),
        )
        self._read_timeout_s = read_timeout_s
        self._tell = tell
        self._known: OrderedDict[str, float] = OrderedDict()
        self._gzip = True

    def close(self) -> None:
        self._client.close()

    def send(self, events: Sequence[Event]) -> Counter[str]:
        """Sends the events. Returns how many had which status, were held, and how many images were uploaded.

        Raises `Unsent` if that is not known of all; then all of it may be sent again.
        """
        counts: Counter[str] = Counter()
        counts["images"] = self._send_images({name: data for event in events for name, data in event.images.items()})
        for kind in get_args(Kind):
            for batch in batches(event for event in events if event.kind == kind):
                counts += self._send_events(f"/v1/{kind}", batch)
        return counts

    def _send_events(self, path: str, events: Sequence[Event]) -> Counter[str]:
        try:
            answer = self._post(path, request_body(events))
        except _Refused as refusal:
            if len(events) == 1:
                self._tell(f"the API refused an event: {refusal}")
                return Counter(invalid=1)
            middle = len(events) // 2
            return self._send_events(path, events[:middle]) + self._send_events(path, events[middle:])
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(events):
            raise Unsent("the answer does not say what became of each event")
        counts: Counter[str] = Counter()
        for result in results:
            status = result.get("status") if isinstance(result, dict) else None
            if not isinstance(status, str) or status not in STATUSES:
                raise Unsent("the answer does not say what became of each event")
            counts[status] += 1
            counts["held"] += result.get("held") is not None
            if status == "invalid":
                self._tell(f"the API found an event invalid: {_first_problem(result)}")
        return counts

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        """Posts compressed, if that pays. What is refused so is sent plain, in case it was the compression."""
        packed = gzip.compress(body, GZIP_LEVEL, mtime=0) if self._gzip and len(body) > GZIP_BYTES_MIN else body
        if len(packed) < len(body):
            try:
                return self._json("POST", path, packed, {"content-encoding": "gzip"})
            except _Refused:
                answer = self._json("POST", path, body)
                self._gzip = False
                return answer
        return self._json("POST", path, body)

    def _send_images(self, images: dict[str, bytes]) -> int:
        now = time.monotonic()
        asked = [name for name in images if self._known.get(name, -KNOWN_IMAGE_S) + KNOWN_IMAGE_S <= now]
        sent = 0
        for begin in range(0, len(asked), HASHES_PER_REQUEST):
            chunk = asked[begin : begin + HASHES_PER_REQUEST]
            try:
                answer = self._json("POST", "/v1/images/missing", json.dumps({"sha256": chunk}).encode())
            except _Refused as refusal:
                self._tell(f"the API refused to say which images are missing: {refusal}")
                continue
            missing = answer.get("missing")
            if not isinstance(missing, list):
                raise Unsent("the answer does not say which images are missing")
            sent += sum(self._send_image(name, images[name]) for name in chunk if name in missing)
            self._remember(chunk, now)
        return sent

    def _send_image(self, name: str, data: bytes) -> int:
        try:
            self._json("PUT", f"/v1/images/{name}", data, {"content-type": "application/octet-stream"})
        except _Refused as refusal:
            self._tell(f"the API refused an image: {refusal}")
            return 0  # not an image the API takes; the event is still worth sending
        return 1

    def _remember(self, images: Sequence[str], now: float) -> None:
        for name in images:
            self._known[name] = now
            self._known.move_to_end(name)
        while len(self._known) > KNOWN_IMAGES_MAX:
            self._known.popitem(last=False)

    def _json(self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The answer's JSON object. Raises `Unsent`, `_Refused`."""
        try:
            with self._client.stream(
                method, path, content=body, headers={"content-type": "application/json", **(headers or {})}
            ) as response:
                status = response.status_code
                if status in REFUSED:
                    raise _Refused(f"status {status}")
                if not response.is_success:
                    after_s = retry_after_s(response.headers.get("retry-after", ""))
                    raise Unsent(f"{method}: status {status}", after_s, closed=status in CLOSED)
                answer = json.loads(self._body(response))
        except httpx.HTTPError as error:
            raise Unsent(f"{method}: {type(error).__name__}") from None
        except (ValueError, RecursionError):
            raise Unsent(f"{method}: the answer is no JSON") from None
        if not isinstance(answer, dict):
            raise Unsent(f"{method}: the answer is no JSON object")
        return answer

    def _body(self, response: httpx.Response) -> bytes:
        end = time.monotonic() + self._read_timeout_s
        parts: list[bytes] = []
        size = 0
        for part in response.iter_raw():
            size += len(part)
            if size > RESPONSE_BYTES_MAX:
                raise Unsent("the answer is too long")
            if time.monotonic() > end:
                raise Unsent("the answer takes too long")
            parts.append(part)
        return b"".join(parts)


def _first_problem(result: dict[str, Any]) -> str:
    """What the API says is wrong with an event, whatever that looks like."""
    try:
        problem = result["problems"][0]
        return f"{problem['path']}: {problem['message']}"[:PROBLEM_CHARS]
    except (KeyError, IndexError, TypeError):
        return "no reason given"
