"""The intake half of the API as the contract states it, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any


class Intake:
    """Events by id, images by hash. `misbehave` may answer in its place."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.images: dict[str, bytes] = {}
        self.batches: list[int] = []
        self.largest_body = 0
        self.image_before_event = True
        self.misbehave: Callable[[str], tuple[int, bytes] | None] = lambda path: None
        self.url = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.largest_body = max(self.largest_body, len(body) if "failures" in path else 0)
        bad = self.misbehave(path)
        if bad is not None:
            return bad
        if path == "/v1/images/missing":
            asked = json.loads(body)["sha256"]
            return 200, json.dumps({"missing": [name for name in asked if name not in self.images]}).encode()
        if method == "PUT":
            name = path.rsplit("/", 1)[1]
            if sha256(body).hexdigest() != name:
                return 422, b'{"error": {"code": "unprocessable", "message": "", "requestId": ""}}'
            self.images[name] = body
            return 201, b"{}"
        return 200, self._store(json.loads(body)["events"])

    def _store(self, events: list[dict[str, Any]]) -> bytes:
        self.batches.append(len(events))
        results = []
        for event in events:
            known = self.events.get(event["eventId"])
            if event.get("response") == "":
                status = "invalid"
            elif known is None:
                status = "stored"
                self.events[event["eventId"]] = event
            else:
                status = "duplicate" if known == event else "conflict"
            parts = [part for turn in event.get("conversation", []) for part in turn["content"]]
            self.image_before_event &= all(part["sha256"] in self.images for part in parts if "sha256" in part)
            results.append({"eventId": event["eventId"], "status": status})
        return json.dumps({"results": results}).encode()
