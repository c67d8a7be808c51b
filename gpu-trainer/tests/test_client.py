"""The reporting client against real servers: dead, slow, lying, refusing, and good ones. The host never notices."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_intake import Intake
from nearmiss.client import Reporter
from nearmiss.reporting.events import EVENT_BYTES, EVENTS_PER_REQUEST, Event, batches, make_event, request_body
from nearmiss.reporting.spill import Spill

KEY = "nm_very-secret-key"
REPORT_MAX_S = 0.5
"""Far above what a call takes on a busy machine, far below any network timeout."""
FLUSH_S = 20.0


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
                status, data = intake.answer(self.command, self.path, body)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
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


@contextmanager
def reporting(url: str, **options: Any) -> Iterator[Reporter]:
    reporter = Reporter(url, KEY, **{"retry_first_s": 0.02, **options})
    try:
        yield reporter
    finally:
        reporter.close(timeout_s=0)


def event(k: int, **more: Any) -> dict[str, Any]:
    return {"eventId": f"e{k}", "occurredAt": k, "model": "m", "conversation": [], "response": f"answer {k}", **more}


def about(k: int, image: bytes) -> dict[str, Any]:
    part = {"type": "image", "sha256": sha256(image).hexdigest()}
    return event(k, conversation=[{"role": "user", "content": [part]}])


def wait_until(true: Callable[[], bool], seconds: float = FLUSH_S) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def report_all(reporter: Reporter, events: list[dict[str, Any]]) -> float:
    """The longest that one call took, in seconds."""
    longest = 0.0
    for one in events:
        begun = time.perf_counter()
        reporter.report(one)
        longest = max(longest, time.perf_counter() - begun)
    return longest


def test_events_arrive_in_batches_after_their_images() -> None:
    images = [bytes([k]) * 100 for k in range(3)]
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        for k in range(1200):
            image = images[k % 3]
            assert reporter.report(about(k, image), {sha256(image).hexdigest(): image})
        assert reporter.flush(FLUSH_S)
        stats = reporter.stats()
        assert (stats.stored, stats.waiting, stats.images) == (1200, 0, 3)
        assert len(intake.events) == 1200
        assert intake.image_before_event
        assert max(intake.batches) <= EVENTS_PER_REQUEST
        assert len(intake.batches) <= 5


def test_results_are_counted_event_by_event() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        for one in (event(1), event(1), event(1, response="other"), event(2, response=""), event(3)):
            reporter.report(one)
        assert reporter.flush(FLUSH_S)
        stats = reporter.stats()
        assert (stats.stored, stats.duplicate, stats.conflict, stats.invalid) == (2, 1, 1, 1)


def dead(path: str) -> tuple[int, bytes] | None:
    return 0, b""


def lying(path: str) -> tuple[int, bytes] | None:
    return 200, b'{"results": [{"eventId": "e0", "status": "stored"}], "missing": "all"}'


def babbling(path: str) -> tuple[int, bytes] | None:
    return 200, b"<html>" * 1000


def overloaded(path: str) -> tuple[int, bytes] | None:
    return 503, b""


def closed(path: str) -> tuple[int, bytes] | None:
    return 403, b'{"error": {}}'


def endless(path: str) -> tuple[int, bytes] | None:
    return 200, b" " * 5_000_000


@pytest.mark.parametrize("misbehave", [dead, lying, babbling, overloaded, closed, endless])
def test_nothing_is_lost_and_the_host_never_waits_while_the_server_misbehaves(misbehave) -> None:
    intake = Intake()
    with serving(intake) as intake, reporting(intake.url) as reporter:
        intake.misbehave = misbehave
        assert report_all(reporter, [event(k) for k in range(300)]) < REPORT_MAX_S
        wait_until(lambda: reporter.stats().failed_requests >= 3)
        assert not reporter.flush(0.05)
        assert reporter.stats().waiting == 300
        assert reporter.stats().stored == 0
        intake.misbehave = lambda path: None
        assert reporter.flush(FLUSH_S)
        assert reporter.stats().stored + reporter.stats().duplicate == 300
        assert set(intake.events) == {f"e{k}" for k in range(300)}


def test_an_answer_lost_on_its_way_back_stores_nothing_twice() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        store, lost = intake._store, [2]

        def forgetful(events: list[dict[str, Any]]) -> bytes:
            done = store(events)
            lost[0] -= 1
            return b"" if lost[0] >= 0 else done

        intake._store = forgetful  # type: ignore[method-assign]
        report_all(reporter, [event(k) for k in range(40)])
        assert reporter.flush(FLUSH_S)
        assert len(intake.events) == 40
        assert reporter.stats().duplicate == 40
        assert reporter.stats().failed_requests == 2


def test_a_server_that_does_not_answer_keeps_nobody_waiting() -> None:
    release = threading.Event()
    with serving(Intake()) as intake:

        def hang(path: str) -> None:
            release.wait(5)

        intake.misbehave = hang
        with reporting(intake.url, read_timeout_s=0.2) as reporter:
            begun = time.monotonic()
            assert report_all(reporter, [event(k) for k in range(100)]) < REPORT_MAX_S
            wait_until(lambda: reporter.stats().failed_requests >= 1)
            reporter.close(timeout_s=0.1)
            assert time.monotonic() - begun < 4
        release.set()


def test_no_server_at_all() -> None:
    with reporting("http://127.0.0.1:1") as reporter:
        assert report_all(reporter, [event(k) for k in range(100)]) < REPORT_MAX_S
        wait_until(lambda: reporter.stats().failed_requests >= 2)
        assert reporter.stats().waiting == 100


def test_memory_is_bounded_in_events_and_in_bytes() -> None:
    with reporting("http://127.0.0.1:1", queue_events=50) as reporter:
        taken = [reporter.report(event(k)) for k in range(200)]
        assert taken.count(True) == 50
        assert reporter.stats().waiting == 50
        assert reporter.stats().dropped == 150
    with reporting("http://127.0.0.1:1", queue_bytes=10_000) as reporter:
        image = b"x" * 3_000
        taken = [reporter.report(about(k, image), {sha256(image).hexdigest(): image}) for k in range(9)]
        assert taken == [True] * 3 + [False] * 6


class Strange:
    """No JSON."""


@pytest.mark.parametrize(
    "bad",
    [
        {"response": Strange()},
        {"response": float("nan")},
        {"response": "x" * (EVENT_BYTES + 1)},
        {"response": "\ud800"},
        None,
        "text",
        {1: {2, 3}},
    ],
)
def test_report_never_raises_and_counts_what_can_not_be_sent(bad: Any) -> None:
    with reporting("http://127.0.0.1:1") as reporter:
        assert reporter.report(bad) is False
        assert reporter.report(event(0), {"a": None}) is False  # type: ignore[dict-item]
        assert reporter.stats().invalid == 2
        assert reporter.stats().waiting == 0


def test_an_event_that_the_server_refuses_does_not_cost_the_others() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        answer = intake.answer

        def picky(method: str, path: str, body: bytes) -> tuple[int, bytes]:
            return (400, b"{}") if b"poison" in body else answer(method, path, body)

        intake.answer = picky  # type: ignore[method-assign]
        report_all(reporter, [event(k, response="poison" if k == 17 else "fine") for k in range(60)])
        assert reporter.flush(FLUSH_S)
        assert (reporter.stats().stored, reporter.stats().invalid) == (59, 1)


def test_an_image_that_the_server_refuses_does_not_cost_its_event() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        reporter.report(about(0, b"real"), {sha256(b"real").hexdigest(): b"something else"})
        assert reporter.flush(FLUSH_S)
        assert (reporter.stats().stored, reporter.stats().images) == (1, 0)


def test_while_the_api_is_away_events_move_to_disk_and_outlive_the_process(tmp_path: Path) -> None:
    image = b"picture" * 20
    name = sha256(image).hexdigest()
    intake = Intake()
    with serving(intake):
        port = int(intake.url.rsplit(":", 1)[1])
    with reporting(f"http://127.0.0.1:{port}", spill=tmp_path, queue_events=100) as first:
        for k in range(80):
            assert first.report(about(k, image), {name: image})
        wait_until(lambda: first.stats().spilled > 0)
        wait_until(lambda: first.stats().waiting == 0)
        for k in range(80, 140):
            assert first.report(about(k, image), {name: image}), "memory is free again"
        first.close(timeout_s=0)
        assert first.stats().dropped == 0
    assert not intake.events
    with serving(intake, port), reporting(intake.url, spill=tmp_path) as second:
        assert second.flush(FLUSH_S)
        assert second.stats().stored == 140
    assert set(intake.events) == {f"e{k}" for k in range(140)}
    assert intake.images == {name: image}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_disk_is_bounded_too(tmp_path: Path) -> None:
    with reporting("http://127.0.0.1:1", spill=tmp_path, spill_bytes=6_000) as reporter:
        report_all(reporter, [event(k, response="x" * 100) for k in range(200)])
        wait_until(lambda: reporter.stats().dropped > 0)
        wait_until(lambda: reporter.stats().waiting == 0)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 6_000


def test_a_spoilt_file_on_disk_does_not_block_the_others(tmp_path: Path) -> None:
    Spill(tmp_path).put([make_event(event(1), {})])
    (tmp_path / "00000000000000000001-000000.jsonl").write_text('{"event": 1')
    with serving(Intake()) as intake, reporting(intake.url, spill=tmp_path) as reporter:
        assert reporter.flush(FLUSH_S)
        assert set(intake.events) == {"e1"}


def test_a_folder_that_can_not_be_made_costs_the_disk_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving(Intake()) as intake, reporting(intake.url, spill=tmp_path / "file" / "below") as reporter:
        assert reporter.report(event(1))
        assert reporter.flush(FLUSH_S)


def test_after_close_nothing_is_taken_and_closing_again_is_harmless() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        reporter.report(event(1))
        reporter.close()
        assert set(intake.events) == {"e1"}
        assert reporter.report(event(2)) is False
        assert reporter.stats().dropped == 1
        reporter.close()


def test_the_log_holds_no_secret_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "nearmiss.client")
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        intake.misbehave = closed
        reporter.report(event(1, response="private words"))
        reporter.report({"response": Strange(), "note": "private words"})
        wait_until(lambda: reporter.stats().failed_requests >= 2)
    assert caplog.records
    assert KEY not in caplog.text
    assert "private" not in caplog.text


def test_many_threads_report_at_once() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:

        def some(first: int) -> None:
            for k in range(first, first + 250):
                reporter.report(event(k))

        threads = [threading.Thread(target=some, args=(n * 250,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert reporter.flush(FLUSH_S)
        assert len(intake.events) == 2000


@settings(max_examples=30)
@given(st.lists(st.integers(1, EVENT_BYTES), max_size=40))
def test_batches_fit_a_request_and_keep_order(sizes: list[int]) -> None:
    events = [Event(b"x" * size) for size in sizes]
    cut = list(batches(events))
    assert [one for batch in cut for one in batch] == events
    for batch in cut:
        assert 1 <= len(batch) <= EVENTS_PER_REQUEST
        assert len(request_body(batch)) <= 1_000_000
