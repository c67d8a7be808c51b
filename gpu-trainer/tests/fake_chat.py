"""A server that speaks OpenAI's chat completions, and messages for it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECES = ["There are ", "two ", "dogs."]
ANSWER = "".join(PIECES)
PNG = b"\x89PNG picture"
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
LINK = "https://images.example/dog.png"


class Model:
    """Answers every request alike; keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.url = ""
        self.status = 200
        self.content: str | None = ANSWER
        self.refusal: str | None = None
        self.breaks_off = False


def completion(content: str | None, refusal: str | None, n: int) -> dict[str, Any]:
    said = [{"role": "assistant", "content": content, "refusal": refusal}, {"role": "assistant", "content": "Another."}]
    choices = [{"index": k, "finish_reason": "stop", "message": said[k]} for k in range(n)]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "served", "choices": choices}


def chunks(n: int) -> Iterator[dict[str, Any]]:
    base = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "served"}
    yield {**base, "choices": [{"index": k, "delta": {"role": "assistant", "content": ""}} for k in range(n)]}
    for piece in PIECES:
        yield {**base, "choices": [{"index": 0, "delta": {"content": piece}}]}
        if n > 1:
            yield {**base, "choices": [{"index": 1, "delta": {"content": "b"}}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**base, "choices": []}


@contextmanager
def modelling() -> Iterator[Model]:
    model = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.requests.append(request)
            n = request.get("n", 1)
            if request.get("stream") and model.status == 200:
                lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks(n)]
                lines = lines[:3] if model.breaks_off else [*lines, "data: [DONE]\n\n"]
                kind, data = "text/event-stream", "".join(lines).encode()
            else:
                kind, data = "application/json", json.dumps(completion(model.content, model.refusal, n)).encode()
            self.send_response(model.status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data) + (9 if model.breaks_off else 0)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


MESSAGES: list[Any] = [
    {"role": "developer", "content": "Be brief."},
    user(image(DATA_URL), text("How many dogs?")),
]
