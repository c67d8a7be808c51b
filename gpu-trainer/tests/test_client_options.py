"""Ids, sampling, redaction and the host's own functions: they decide what is sent, and can not hurt."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_support import FLUSH_S, NOWHERE, event, pair, report_all, reporting, showing, wait_until
from fake_intake import KEY, Intake, serving
from nearmiss.client import Reporter
from nearmiss.reporting.ids import IdMaker, new_event_id
from nearmiss.reporting.sampling import is_sampled


def test_ids_are_uuids_of_version_7_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    one = UUID(IdMaker()())
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert before <= one.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_grow_whatever_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    make = IdMaker()
    clock = iter([5_000, *[5_001] * 9_000, 4_000, 4_000, 5_002, 9_000])
    monkeypatch.setattr("time.time_ns", lambda: next(clock) * 1_000_000)
    made = [make() for _ in range(9_005)]
    assert sorted(made) == made
    assert len(set(made)) == len(made)
    assert all(UUID(one).version == 7 for one in made)
    assert UUID(made[-1]).int >> 80 == 9_000, "it comes back to the clock"


def test_ids_of_many_threads_are_different_and_grow_in_each() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_event_id() for _ in range(500)], range(8)))
    assert all(sorted(ids) == ids for ids in made)
    assert len({one for ids in made for one in ids}) == 4_000


def test_an_event_without_id_gets_one_and_the_time() -> None:
    with serving(Intake()) as intake, reporting(intake.url) as reporter:
        for _ in range(3):
            reporter.report({"model": "m", "conversation": [], "response": "x"})
        assert reporter.flush(FLUSH_S)
    names = list(intake.events)
    assert names == sorted(names)
    for name, sent in intake.events.items():
        assert abs((UUID(name).int >> 80) - sent["occurredAt"]) < 1_000


@given(st.text(max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_what_a_lower_one_kept(key: str, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert is_sampled(key, high) or not is_sampled(key, low)
    assert is_sampled(key, 1)
    assert not is_sampled(key, 0)


def test_the_share_kept_is_the_rate_for_ids_that_differ_little() -> None:
    for rate in (0.01, 0.1, 0.5, 0.9):
        kept = sum(is_sampled(new_event_id(), rate) for _ in range(20_000)) / 20_000
        assert abs(kept - rate) < 5 * (rate * (1 - rate) / 20_000) ** 0.5


def test_a_key_has_one_fate_in_all_clients() -> None:
    """The values that FNV-1a with MurmurHash3's finaliser gives; the TypeScript client has the same."""
    keys = ("", "a", "user-1", "user-2", "héllo", "😀")
    assert [is_sampled(key, 0.5) for key in keys] == [False, True, True, True, True, True]
    assert [is_sampled(key, 0.2) for key in keys] == [False, True, False, True, False, False]


def test_sampling_goes_by_key_and_keeps_corrections() -> None:
    with serving(Intake()) as intake, reporting(intake.url, sample_rate=0.3) as reporter:
        taken = [reporter.report(event(k), sample_key=f"user {k % 10}") for k in range(100)]
        assert taken == [is_sampled(f"user {k % 10}", 0.3) for k in range(100)]
        by_id = [reporter.report(event(k)) for k in range(100, 200)]
        assert by_id == [is_sampled(f"e{k}", 0.3) for k in range(100, 200)]
        assert all(reporter.report(event(k, correction="right")) for k in range(200, 250))
        pairs = sum(reporter.report_pair(pair(k)) for k in range(100))
        assert 5 < pairs < 60
        assert reporter.flush(FLUSH_S)
        assert len(intake.events) == sum(taken) + sum(by_id) + 50
        assert reporter.stats().sampled_out == 200 - sum(taken) - sum(by_id) + 100 - pairs
    with reporting(NOWHERE, sample_rate=0, sample_corrections=True) as reporter:
        assert not reporter.report(event(0, correction="right"))


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_that_is_none_is_told_at_the_start(rate: float) -> None:
    with pytest.raises(ValueError, match="sample_rate"):
        Reporter(NOWHERE, KEY, sample_rate=rate)


def mask(one: dict[str, Any]) -> dict[str, Any] | None:
    """Masks numbers, takes images away, withholds what is private, and fails where it is asked to."""
    said = one["response"]
    if "private" in said:
        return None
    if "fail" in said:
        raise RuntimeError(f"secret {said}")
    if "odd" in said:
        return [said]  # type: ignore[return-value]
    if "strange" in said:
        return {"response": {1, 2}}
    if "exit" in said:
        raise SystemExit
    return {**one, "response": re.sub(r"\d", "#", said), "conversation": []}


@pytest.mark.parametrize("with_disk", [False, True])
def test_only_what_the_redaction_returns_leaves_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, with_disk
) -> None:
    intake = Intake()
    with serving(intake):
        port = int(intake.url.rsplit(":", 1)[1])
    words = ["call 12345", "private 1", "fail 2", "odd 3", "strange 4", "exit 5", "call 6"]
    spill = tmp_path if with_disk else None
    with reporting(f"http://127.0.0.1:{port}", redact=mask, spill=spill) as reporter:
        for k, said in enumerate(words):
            assert reporter.report(event(k, response=said, conversation=showing(b"face")))
        wait_until(lambda: reporter.stats().failed_requests >= 2)
        on_disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        with serving(intake, port):
            assert reporter.flush(FLUSH_S)
        stats = reporter.stats()
    assert (stats.stored, stats.withheld, stats.redaction_failed, stats.invalid) == (2, 1, 3, 1)
    assert {name: sent["response"] for name, sent in intake.events.items()} == {"e0": "call #####", "e6": "call #"}
    assert intake.images == {}, "an image that the redaction took away is not uploaded"
    assert bool(on_disk) == with_disk
    assert b"12345" not in on_disk
    assert b"face" not in on_disk
    assert "secret" not in caplog.text


def test_events_at_the_end_are_redacted_too(tmp_path: Path) -> None:
    with reporting(NOWHERE, redact=mask, spill=tmp_path, retry_first_s=30) as reporter:
        report_all(reporter, [event(0, response="call 1"), event(1, response="private")])
        reporter.close(timeout_s=0)
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"call #" in on_disk
    assert b"private" not in on_disk


def test_the_redaction_sees_hashes_and_the_host_does_not_wait_for_it() -> None:
    seen: list[Any] = []

    def slow(one: dict[str, Any]) -> dict[str, Any]:
        seen.append((threading.current_thread().name, one["conversation"]))
        time.sleep(0.01)
        return one

    with serving(Intake()) as intake, reporting(intake.url, redact=slow) as reporter:
        for k in range(20):
            reporter.report(event(k, conversation=showing(b"picture")))
        assert reporter.flush(FLUSH_S)
    assert {name for name, _ in seen} == {"nearmiss-reporter"}
    assert seen[0][1] == showing(next(iter(intake.images)))


def kill(message: str) -> None:
    raise SystemExit


def fail(message: str) -> None:
    raise RuntimeError


@pytest.mark.parametrize("reaction", [None, fail, kill])
def test_the_host_hears_of_errors_and_can_not_be_hurt_by_it(reaction: Callable[[str], None] | None) -> None:
    heard: list[str] = []

    def on_error(message: str) -> None:
        heard.append(message)
        assert threading.current_thread().name == "nearmiss-reporter"
        if reaction:
            reaction(message)

    with serving(Intake()) as intake, reporting(intake.url, on_error=on_error, queue_events=50) as reporter:
        intake.misbehave = lambda path: (500, b"")
        reporter.report({"response": {1}})
        report_all(reporter, [event(k) for k in range(60)])
        wait_until(lambda: reporter.stats().failed_requests >= 2)
        intake.misbehave = lambda path: None
        assert reporter.flush(FLUSH_S)
        reporter.report(event(100, response=""))
        assert reporter.flush(FLUSH_S)
        wait_until(lambda: any("found an event invalid" in one for one in heard))
        assert reporter.stats().dropped == 10
    text = "\n".join(heard)
    assert "an event was not taken: no JSON" in text
    assert "status 500" in text
    assert "events were dropped for want of room" in text
    assert "response: must not be empty" in text
    assert KEY not in text
