"""Reporters and events for the tests of the reporting client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from fake_intake import KEY
from nearmiss.client import Reporter

FLUSH_S = 20.0
NOWHERE = "http://127.0.0.1:1"
"""No server is there."""


@contextmanager
def reporting(url: str, **options: Any) -> Iterator[Reporter]:
    reporter = Reporter(url, KEY, **{"retry_first_s": 0.02, **options})
    try:
        yield reporter
    finally:
        reporter.close(timeout_s=0)


def event(k: int, **more: Any) -> dict[str, Any]:
    return {"eventId": f"e{k}", "occurredAt": k, "model": "m", "conversation": [], "response": f"answer {k}", **more}


def pair(k: int, **more: Any) -> dict[str, Any]:
    responses = [{"text": "good", "reward": 0.9}, {"text": "bad", "reward": 0.1}]
    return {"eventId": f"p{k}", "occurredAt": k, "model": "m", "conversation": [], "responses": responses, **more}


def showing(sha256: str | bytes) -> list[dict[str, Any]]:
    """A conversation about one image."""
    return [{"role": "user", "content": [{"type": "image", "sha256": sha256}]}]


def about(k: int, image: bytes) -> dict[str, Any]:
    return event(k, conversation=showing(sha256(image).hexdigest()))


def wait_until(true: Callable[[], bool], seconds: float = FLUSH_S) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def report_all(reporter: Reporter, events: list[dict[str, Any]]) -> None:
    for one in events:
        reporter.report(one)
