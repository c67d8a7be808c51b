"""The intake half of the API as the contract states it, in memory, and a real server for it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "nm_very-secret-key"
Answer = tuple[int, bytes]


class Intake:
    """Events by id, images by hash. `misbehave` may answer in its place."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.pairs: dict[str, Any] = {}
        self.images: dict[str, bytes] = {}
        self.batches: list[int] = []
        self.encodings: list[str | None] = []
        """Of the requests with events."""
        self.image_before_event = True
        self.misbehave: Callable[[str], Answer | None] = lambda path: None
        self.headers: dict[str, str] = {}
        """Sent with every answer."""
        self.url = ""

    def answer(self, method: str, path: str, body: bytes, encoding: str | None = None) -> Answer:
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
        self.encodings.append(encoding)
        whole = gzip.decompress(body) if encoding == "gzip" else body
        known = {"/v1/failures": self.events, "/v1/pairs": self.pairs}[path]
        return 200, self._store(known, json.loads(whole)["events"])

    def _store(self, known: dict[str, Any], events: list[dict[str, Any]]) -> bytes:
        self.batches.append(len(events))
        results = []
        for event in events:
            result = {"eventId": event["eventId"], "status": self._status(known, event)}
            if event.get("model") == "unknown":
                result["held"] = "unknown-model"
            if result["status"] == "invalid":
                result["problems"] = [{"path": "response", "message": "must not be empty"}]
            parts = [part for turn in event.get("conversation", []) for part in turn["content"]]
            self.image_before_event &= all(part["sha256"] in self.images for part in parts if "sha256" in part)
            results.append(result)
        return json.dumps({"results": results}).encode()

    def _status(self, known: dict[str, Any], event: dict[str, Any]) -> str:
        if event.get("response") == "":
            return "invalid"
        if event["eventId"] in known:
            return "duplicate" if known[event["eventId"]] == event else "conflict"
        known[event["eventId"]] = event
        return "queued" if "busy" in event.get("tags", {}) else "stored"


@contextmanager
def serving(intake: Intake, port: int = 0) -> Iterator[Intake]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            assert self.headers["authorization"] == f"Bearer {KEY}"
            with lock:
                status, data = intake.answer(self.command, self.path, body, self.headers["content-encoding"])
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **intake.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a client may have heard enough
                self.wfile.write(data)

        do_POST = do_PUT = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    intake.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield intake
    finally:
        server.shutdown()
        server.server_close()
