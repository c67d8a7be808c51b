"""The training half of the API as the contract states it, over real HTTP, in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from nearmiss.contract import (
    FENCE_HEADER,
    LEASE_HEADER,
    NEXT_HEADER,
    AdapterManifest,
    CompleteRequest,
    GateLine,
    GatePolicy,
    PairLine,
    RefusedPair,
    ScoredPair,
    TrainingPolicy,
)

KEY = "nm_test"
Answer = tuple[int, bytes, dict[str, str]]
PAGE = 7
"""Lines a page, whatever the client asks for: pages are many even in a small batch."""


def policy(**changes: Any) -> TrainingPolicy:
    """A training policy that says everything, so that no test hangs on the defaults."""
    said = {"beta": 0.1, "anchor": 1.0, "learning_rate": 5e-4, "lora_rank": 8, "epochs": 1.0, "groups_per_step": 32}
    return TrainingPolicy(**{**said, **changes})


class FakeApi:
    """One batch, its gate items and its images. Tests read and change the fields between requests."""

    def __init__(self, pairs: list[PairLine], gate: list[GateLine], images: dict[str, bytes]) -> None:
        self.pairs = {pair.id: pair for pair in pairs}
        self.gate = gate
        self.images = images
        self.training = policy()
        self.gate_policy = GatePolicy()
        self.ttl_s = 60.0
        self.champion: str | None = None
        self.adapters: dict[str, bytes] = {}
        self.round_id: str | None = None
        self.rounds = 0
        self.fence = 0
        self.expires_at = 0.0
        self.trainer = ""
        self.demands: list[bool] = []
        self.reports: dict[str, ScoredPair | RefusedPair] = {}
        self.duplicates = 0
        self.heartbeats: list[dict[str, Any]] = []
        self.completed: list[CompleteRequest] = []
        self.manifests: list[AdapterManifest] = []
        self.released: list[str] = []
        self.requests: list[str] = []
        self.interfere: Callable[[str, str], Answer | None] = lambda method, path: None
        """Called before a request is answered; what it returns is the answer."""
        self.lock = threading.Lock()
        self.url = ""

    @property
    def batch_sha256(self) -> str:
        return sha256("\n".join(sorted(self.pairs)).encode()).hexdigest()

    def answer(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> Answer:
        if headers.get("authorization") != f"Bearer {KEY}":
            return error(401, "unauthorized", "This key is not known.")
        parts = path.strip("/").split("/")
        if method == "POST" and parts == ["v1", "rounds"]:
            asked = json.loads(body)
            self.demands.append(asked["demand"])
            return self._claim(asked["trainer"])
        if method == "GET" and parts[1] == "images":
            data = self.images.get(parts[2])
            return (200, data, {}) if data is not None else error(404, "not_found", "No such image.")
        if method == "GET" and parts[1:] == ["adapters", "champion"]:
            return ok({"adapter": self.champion, "previous": None, "roundId": None, "updatedAt": 0})
        if method == "GET" and parts[1] == "adapters":
            data = self.adapters.get(parts[2])
            return (200, data, {}) if data is not None else error(404, "not_found", "No such adapter.")
        if method == "PUT" and parts[1] == "adapters":
            assert sha256(body).hexdigest() == parts[2]
            self.adapters[parts[2]] = body
            return ok({"sha256": parts[2]})
        if parts[1] == "rounds" and len(parts) == 4:
            if not self._held(parts[2], headers):
                return error(409, "conflict", "This lease is over or has another holder.")
            return self._fenced(method, parts[3], query, body)
        return error(404, "not_found", f"No route {method} {path}.")

    def _claim(self, trainer: str) -> Answer:
        alive = self.round_id is not None and time.time() < self.expires_at
        if alive and trainer != self.trainer:
            return ok({"round": None, "reason": "0 pairs are ready, a round needs 300."})
        if not self.pairs:
            return ok({"round": None, "reason": "0 pairs are ready, a round needs 300."})
        self.fence = self.fence + 1 if alive else 1
        if not alive:
            self.rounds += 1
            self.round_id, self.trainer = f"round-{self.rounds}", trainer
        self.expires_at = time.time() + self.ttl_s
        lease = {
            "id": f"lease-{self.round_id}",
            "fence": self.fence,
            "expiresAt": int(self.expires_at * 1000),
            "ttlMs": int(self.ttl_s * 1000),
        }
        policy = {
            "version": 1,
            "training": {**self.training.model_dump(by_alias=True), "minPairs": 300},
            "gate": self.gate_policy.model_dump(by_alias=True),
        }
        batch = {"pairs": len(self.pairs), "sha256": self.batch_sha256}
        claimed = {"id": self.round_id, "resumed": alive, "lease": lease, "reference": self.champion}
        return ok({"round": {**claimed, "batch": batch, "policy": policy}})

    def _held(self, round_id: str, headers: Any) -> bool:
        return (
            round_id == self.round_id
            and headers.get(LEASE_HEADER) == f"lease-{self.round_id}"
            and headers.get(FENCE_HEADER) == str(self.fence)
            and time.time() < self.expires_at
        )

    def _fenced(self, method: str, verb: str, query: dict[str, str], body: bytes) -> Answer:
        if method == "GET":
            lines: list[Any] = sorted(self.pairs.values(), key=lambda p: p.id) if verb == "pairs" else self.gate
            ids = [line.id for line in lines]
            start = ids.index(query["after"]) + 1 if "after" in query else 0
            page = lines[start : start + PAGE]
            more = {NEXT_HEADER: page[-1].id} if start + PAGE < len(lines) else {}
            return 200, "".join(line.wire() + "\n" for line in page).encode(), more
        sent = json.loads(body)
        if verb == "heartbeat":
            self.heartbeats.append(sent)
            self.expires_at = time.time() + self.ttl_s
            return ok({"expiresAt": int(self.expires_at * 1000)})
        if verb == "reports":
            return self._reports(sent["reports"])
        if verb == "complete":
            request = CompleteRequest.model_validate(sent)
            self.completed.append(request)
            if request.gate.verdict == "promoted":
                self.champion = request.adapter
            self.round_id = None
            return ok({"verdict": request.gate.verdict, "champion": self.champion})
        if verb == "release":
            self.released.append(sent["reason"])
            self.round_id = None
            return ok({})
        return error(404, "not_found", "No such verb.")

    def _reports(self, reports: list[dict[str, Any]]) -> Answer:
        assert 1 <= len(reports) <= 500
        stored = duplicate = 0
        for one in reports:
            report = RefusedPair.model_validate(one) if "refused" in one else ScoredPair.model_validate(one)
            assert report.pair_id in self.pairs
            duplicate += report.pair_id in self.reports
            stored += report.pair_id not in self.reports
            self.reports.setdefault(report.pair_id, report)
        self.duplicates += duplicate
        return ok({"stored": stored, "duplicate": duplicate, "unknown": []})


def ok(body: object) -> Answer:
    return 200, json.dumps(body).encode(), {"content-type": "application/json"}


def error(status: int, code: str, message: str) -> Answer:
    body = {"error": {"code": code, "message": message, "requestId": "r"}}
    return status, json.dumps(body).encode(), {"content-type": "application/json"}


@contextmanager
def serving(api: FakeApi) -> Iterator[FakeApi]:
    """The API on a local port, `api.url`, for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            path, _, text = self.path.partition("?")
            query = dict(parse_qsl(text))
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            with api.lock:
                api.requests.append(f"{self.command} {path}")
                answer = api.interfere(self.command, path) or api.answer(self.command, path, query, self.headers, body)
            status, data, headers = answer
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
