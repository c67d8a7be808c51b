"""What is reported arrives, once, with its images, whole; and what became of it is counted."""

from __future__ import annotations

import json
import logging
import os
import threading
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_support import FLUSH_S, NOWHERE, about, event, pair, report_all, reporting, showing, wait_until
from fake_intake import KEY, Intake, serving
from nearmiss.reporting.events import EVENT_BYTES, EVENTS_PER_REQUEST, Event, batches, request_body


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


def test_images_without_a_hash_are_hashed_on_the_way() -> None:
    frames = [{"sha256": bytes([k]) * 9, "timeMs": k} for k in range(3)]
    video = [{"role": "user", "content": [{"type": "video", "frames": frames}]}]
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        assert reporter.report(event(0, conversation=showing(b"picture")))
        assert reporter.report(event(1, conversation=video))
        assert reporter.flush(FLUSH_S)
        assert intake.image_before_event
    name = sha256(b"picture").hexdigest()
    assert intake.images[name] == b"picture"
    assert intake.events["e0"]["conversation"] == showing(name)
    sent = intake.events["e1"]["conversation"][0]["content"][0]["frames"]
    assert sent == [{"sha256": sha256(bytes([k]) * 9).hexdigest(), "timeMs": k} for k in range(3)]
    assert len(intake.images) == 4


def test_failures_and_pairs_go_each_to_their_own_endpoint() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        for k in range(20):
            assert reporter.report(event(k))
            assert reporter.report_pair(pair(k))
        assert reporter.flush(FLUSH_S)
        assert reporter.stats().stored == 40
    assert set(intake.events) == {f"e{k}" for k in range(20)}
    assert set(intake.pairs) == {f"p{k}" for k in range(20)}
    assert intake.pairs["p3"] == pair(3)
    assert len(intake.batches) <= 4


def test_results_are_counted_event_by_event() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        report_all(
            reporter,
            [
                *(event(1), event(1), event(1, response="other"), event(2, response=""), event(3)),
                *(event(4, tags={"busy": "yes"}), event(5, model="unknown")),
            ],
        )
        assert reporter.flush(FLUSH_S)
        stats = reporter.stats()
        assert (stats.stored, stats.duplicate, stats.conflict, stats.invalid) == (3, 1, 1, 1)
        assert (stats.queued, stats.held) == (1, 1)
        assert (stats.waiting, stats.failed_requests) == (0, 0), "queued is delivered"


def test_bodies_worth_it_are_compressed() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        reporter.report(event(0))
        assert reporter.flush(FLUSH_S)
        report_all(reporter, [event(k) for k in range(1, 50)])
        assert reporter.flush(FLUSH_S)
        assert len(intake.events) == 50
    assert intake.encodings[0] is None
    assert "gzip" in intake.encodings


def test_a_server_that_takes_no_gzip_gets_plain_bodies_and_all_events() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        answer, refused = intake.answer, []

        def old(method: str, path: str, body: bytes, encoding: str | None = None) -> tuple[int, bytes]:
            if encoding:
                refused.append(path)
                return 400, b"{}"
            return answer(method, path, body)

        intake.answer = old  # type: ignore[method-assign]
        for first in (0, 100):
            report_all(reporter, [event(k) for k in range(first, first + 100)])
            assert reporter.flush(FLUSH_S)
        assert reporter.stats().stored == 200
        assert len(refused) == 1, "it is not asked again"


class Strange:
    """No JSON."""


@pytest.mark.parametrize(
    "bad",
    [
        {"response": Strange()},
        {"response": float("nan")},
        {"response": "x" * (EVENT_BYTES + 1)},
        {"response": "\ud800"},
        {"response": b"bytes"},
        {"conversation": showing(b"x" * 8_000_001)},
        None,
        "text",
        {1: {2, 3}},
    ],
)
def test_report_never_raises_and_counts_what_can_not_be_sent(bad: Any) -> None:
    with reporting(NOWHERE) as reporter:
        assert reporter.report(bad) is False
        assert reporter.report_pair(bad) is False
        assert reporter.report(event(0), {"a" * 64: None}) is False  # type: ignore[dict-item]
        assert reporter.report(event(0), {"no hash": b"x"}) is False
        assert reporter.stats().invalid == 4
        assert reporter.stats().waiting == 0


def test_an_event_that_the_server_refuses_does_not_cost_the_others() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        answer = intake.answer

        def picky(method: str, path: str, body: bytes, encoding: str | None = None) -> tuple[int, bytes]:
            refused = encoding == "gzip" or b"poison" in body
            return (400, b"{}") if refused else answer(method, path, body, encoding)

        intake.answer = picky  # type: ignore[method-assign]
        report_all(reporter, [event(k, response="poison" if k == 17 else "fine") for k in range(60)])
        assert reporter.flush(FLUSH_S)
        assert (reporter.stats().stored, reporter.stats().invalid) == (59, 1)


def test_an_image_that_the_server_refuses_does_not_cost_its_event() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        reporter.report(about(0, b"real"), {sha256(b"real").hexdigest(): b"something else"})
        assert reporter.flush(FLUSH_S)
        assert (reporter.stats().stored, reporter.stats().images) == (1, 0)


def test_memory_is_bounded_in_events_and_in_bytes() -> None:
    with reporting(NOWHERE, queue_events=50) as reporter:
        taken = [reporter.report(event(k)) for k in range(200)]
        assert taken.count(True) == 50
        assert reporter.stats().waiting == 50
        assert reporter.stats().dropped == 150
        wait_until(lambda: reporter.stats().failed_requests >= 2)
        assert not reporter.report(event(200)), "what is in flight counts too"
    with reporting(NOWHERE, queue_bytes=10_000) as reporter:
        image = b"x" * 3_000
        taken = [reporter.report(event(k, conversation=showing(image))) for k in range(9)]
        assert taken == [True] * 3 + [False] * 6


def test_memory_is_free_again_after_delivery() -> None:
    with serving(Intake()) as intake, reporting(intake.url, queue_bytes=10_000) as reporter:
        for k in range(6):
            assert reporter.report(event(k, conversation=showing(bytes([k]) * 6_000)))
            assert reporter.flush(FLUSH_S)
    assert len(intake.images) == 6


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
        intake.misbehave = lambda path: (503, b'{"error": {}}')
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


def test_after_a_fork_both_report_and_nothing_is_sent_by_the_wrong_one() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        reporter.report(event(0))
        assert reporter.flush(FLUSH_S)
        reporter.report(event(1))
        child = os.fork()
        if child == 0:
            alone = reporter.stats().waiting == 0 and reporter.stats().stored == 0
            reporter.report({**event(2), "eventId": "child"})
            os._exit(0 if alone and reporter.flush(FLUSH_S) and reporter.stats().stored == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert reporter.flush(FLUSH_S)
        assert (reporter.stats().stored, reporter.stats().duplicate) == (2, 0)
    assert set(intake.events) == {"e0", "e1", "child"}


@settings(max_examples=30)
@given(st.lists(st.integers(1, EVENT_BYTES), max_size=40))
def test_batches_fit_a_request_and_keep_order(sizes: list[int]) -> None:
    events = [Event("failures", b"x" * size) for size in sizes]
    cut = list(batches(events))
    assert [one for batch in cut for one in batch] == events
    for batch in cut:
        assert 1 <= len(batch) <= EVENTS_PER_REQUEST
        assert len(request_body(batch)) <= 1_000_000


def test_what_the_host_changes_later_is_not_sent() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        mine = event(0, conversation=showing(b"then"))
        before = json.dumps(mine["response"])
        reporter.report(mine)
        mine["response"] = "later"
        mine["conversation"][0]["content"][0]["sha256"] = b"later"
        assert reporter.flush(FLUSH_S)
    assert json.dumps(intake.events["e0"]["response"]) == before
    assert list(intake.images.values()) == [b"then"]
