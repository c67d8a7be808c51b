"""Servers that are dead, slow, lying or refusing: nothing is lost, and the host never notices."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_support import FLUSH_S, NOWHERE, event, report_all, reporting, showing, wait_until
from fake_intake import Intake, serving
from nearmiss.client import Reporter
from nearmiss.reporting.retry import (
    CLOSED_MAX_S,
    RETRY_AFTER_MAX_S,
    RETRY_MAX_S,
    Backoff,
    Unsent,
    retry_after_s,
)

ROUNDS, CALLS = 6, 300
REPORT_P99_S = 0.001
EVENT = {"model": "m", "response": "x" * 900, "conversation": showing(b"\x89PNG" * 5_000)}
"""One kilobyte and a small image."""


def p99_s(reporter: Reporter) -> float:
    """Of the time that `report()` takes. The least of several rounds: other work on the machine only adds to it."""
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            reporter.report(EVENT)
            times.append(time.perf_counter() - begun)
            if len(times) % 50 == 0:
                time.sleep(0.02)
        rounds.append(sorted(times)[CALLS * 99 // 100])
    return min(rounds)


def dead(path: str) -> tuple[int, bytes] | None:
    return 0, b""


def lying(path: str) -> tuple[int, bytes] | None:
    return 200, b'{"results": [{"eventId": "e0", "status": "stored"}], "missing": "all"}'


def mistyping(path: str) -> tuple[int, bytes] | None:
    return 200, b'{"results": [%s], "missing": []}' % b",".join([b'{"status": ["stored"]}'] * 300)


def inventing(path: str) -> tuple[int, bytes] | None:
    return 200, b'{"results": [%s], "missing": []}' % b",".join([b'{"status": "lost"}'] * 300)


def babbling(path: str) -> tuple[int, bytes] | None:
    return 200, b"<html>" * 1000


def nesting(path: str) -> tuple[int, bytes] | None:
    return 200, b"[" * 200_000


def overloaded(path: str) -> tuple[int, bytes] | None:
    return 503, b""


def moved(path: str) -> tuple[int, bytes] | None:
    return 302, b""


def endless(path: str) -> tuple[int, bytes] | None:
    return 200, b" " * 5_000_000


def closed(path: str) -> tuple[int, bytes] | None:
    return 403, b'{"error": {}}'


MISBEHAVIOURS = [dead, lying, mistyping, inventing, babbling, nesting, overloaded, moved, endless]


@pytest.mark.parametrize("misbehave", MISBEHAVIOURS)
def test_nothing_is_lost_while_the_server_misbehaves(misbehave) -> None:
    intake = Intake()
    with serving(intake) as intake, reporting(intake.url) as reporter:
        intake.misbehave = misbehave
        report_all(reporter, [event(k) for k in range(300)])
        wait_until(lambda: reporter.stats().failed_requests >= 3)
        assert not reporter.flush(0.05)
        assert reporter.stats().waiting == 300
        assert reporter.stats().stored == 0
        intake.misbehave = lambda path: None
        assert reporter.flush(FLUSH_S)
        assert reporter.stats().stored + reporter.stats().duplicate == 300
        assert set(intake.events) == {f"e{k}" for k in range(300)}


@contextmanager
def dripping(gap_s: float) -> Iterator[str]:
    """Answers with a body that never ends, a byte at a time."""
    server = socket.create_server(("127.0.0.1", 0))

    def drip(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(gap_s)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def test_an_answer_that_trickles_in_is_given_up() -> None:
    with dripping(0.02) as url, reporting(url, read_timeout_s=0.3) as reporter:
        report_all(reporter, [event(k) for k in range(10)])
        wait_until(lambda: reporter.stats().failed_requests >= 2)
        assert reporter.stats().waiting == 10


@pytest.mark.parametrize("misbehave", [dead, lying, overloaded, closed])
def test_report_does_not_wait_for_a_server_that_misbehaves(misbehave) -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        intake.misbehave = misbehave
        assert p99_s(reporter) < REPORT_P99_S
        assert reporter.stats().failed_requests >= 1


def test_report_does_not_wait_for_a_server_that_is_slow() -> None:
    with dripping(0.05) as url, reporting(url, read_timeout_s=0.5) as reporter:
        assert p99_s(reporter) < REPORT_P99_S


def test_a_server_that_does_not_answer_does_not_hold_up_the_end() -> None:
    release = threading.Event()
    with serving(Intake()) as intake:

        def hang(path: str) -> None:
            release.wait(5)

        intake.misbehave = hang
        with reporting(intake.url, read_timeout_s=0.2) as reporter:
            begun = time.monotonic()
            report_all(reporter, [event(k) for k in range(100)])
            wait_until(lambda: reporter.stats().failed_requests >= 1)
            reporter.close(timeout_s=0.1)
            assert time.monotonic() - begun < 4
        release.set()


def test_no_server_at_all() -> None:
    with reporting(NOWHERE) as reporter:
        assert p99_s(reporter) < REPORT_P99_S
        wait_until(lambda: reporter.stats().failed_requests >= 2)
        assert reporter.stats().waiting == ROUNDS * CALLS


def test_an_answer_lost_on_its_way_back_stores_nothing_twice() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        store, lost = intake._store, [2]

        def forgetful(known: dict[str, Any], events: list[dict[str, Any]]) -> bytes:
            done = store(known, events)
            lost[0] -= 1
            return b"" if lost[0] >= 0 else done

        intake._store = forgetful  # type: ignore[method-assign]
        report_all(reporter, [event(k) for k in range(40)])
        assert reporter.flush(FLUSH_S)
        assert len(intake.events) == 40
        assert reporter.stats().duplicate == 40
        assert reporter.stats().failed_requests == 2


def test_a_closed_door_is_knocked_at_seldom_and_nothing_is_lost() -> None:
    with serving(Intake()) as intake, reporting(intake.url, retry_first_s=0.01) as reporter:
        intake.misbehave = closed
        report_all(reporter, [event(k) for k in range(30)])
        wait_until(lambda: reporter.stats().failed_requests >= 1)
        time.sleep(0.25)
        assert reporter.stats().failed_requests == 1, "sixty times the usual pause has not passed"
        intake.misbehave = lambda path: None
        assert reporter.flush(FLUSH_S)
        assert reporter.stats().stored == 30


@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_when_to_come_back(status: int) -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        asked: list[float] = []

        def limited(path: str) -> tuple[int, bytes] | None:
            asked.append(time.monotonic())
            return (status, b"") if len(asked) == 1 else None

        intake.misbehave, intake.headers = limited, {"retry-after": "1"}
        reporter.report(event(0))
        assert reporter.flush(FLUSH_S)
        assert reporter.stats().stored == 1
        assert asked[1] - asked[0] >= 0.95


def test_pauses_double_with_full_jitter_up_to_their_limit() -> None:
    for failures in range(1, 40):
        ceiling = min(RETRY_MAX_S, 0.5 * 2 ** (failures - 1))
        pauses = []
        for _ in range(60):
            backoff = Backoff(0.5)
            pauses.append([backoff.failed(Unsent("away")) for _ in range(failures)][-1])
        assert max(pauses) <= ceiling
        assert min(pauses) < ceiling / 3 < ceiling * 2 / 3 < max(pauses), "spread over all of it"


def test_a_thousand_failures_are_no_trouble_and_success_forgets_them() -> None:
    backoff = Backoff(0.5)
    for _ in range(2_000):
        assert 0 <= backoff.failed(Unsent("away")) <= RETRY_MAX_S
    assert 15 <= Backoff(0.5).failed(Unsent("closed", closed=True)) <= 30
    assert CLOSED_MAX_S / 2 <= backoff.failed(Unsent("closed", closed=True)) <= CLOSED_MAX_S
    backoff.succeeded()
    assert backoff.failed(Unsent("away")) <= 0.5


def test_retry_after_may_be_seconds_or_a_date() -> None:
    assert retry_after_s("17") == 17
    date = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < retry_after_s(format_datetime(date, usegmt=True)) <= 100
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert 0 <= Backoff(0.5).failed(Unsent("busy", retry_after_s("9" * 400))) - RETRY_AFTER_MAX_S <= 0.5


@given(st.text(max_size=40))
def test_nonsense_for_a_time_asks_for_no_wait_below_zero(header: str) -> None:
    assert retry_after_s(header) >= 0
