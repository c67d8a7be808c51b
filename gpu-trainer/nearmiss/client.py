"""Reports from a deployed app: `report()` returns at once and never raises; a thread does the rest.

    reporter = Reporter("https://nearmiss.example", key, spill=Path("/var/lib/app/nearmiss"))
    reporter.report({"model": "m", "conversation": [...], "response": "Two dogs."}, images={sha256: png_bytes})
    reporter.close()

Events wait in memory, up to a limit, and go out in batches. While the API is away they move to disk, if a folder was
given, and go out when it is back, in this process or a later one. An event may be sent twice; it is stored once.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .reporting.events import EVENTS_PER_REQUEST, BadEvent, Event, batches, make_event
from .reporting.sender import READ_TIMEOUT_S, Sender, Unsent
from .reporting.spill import SPILL_BYTES_MAX, Spill

QUEUE_EVENTS_MAX: Final = 20_000
QUEUE_BYTES_MAX: Final = 64_000_000
"""Memory that waiting events with their images may take; what comes on top is dropped, and counted."""
LINGER_S: Final = 0.2
"""How long the first event of a batch waits for company."""
RETRY_FIRST_S: Final = 0.5
RETRY_MAX_S: Final = 60.0
CLOSE_TIMEOUT_S: Final = 5.0

log = logging.getLogger("nearmiss.client")


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events so far. `waiting` ones are in memory, `spilled` batches on disk."""

    stored: int
    duplicate: int
    conflict: int
    invalid: int
    dropped: int
    waiting: int
    spilled: int
    images: int
    """Images uploaded."""
    failed_requests: int


class Reporter:
    """Reports to the API at `base_url`. Make one per process; safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        spill: Path | None = None,
        queue_events: int = QUEUE_EVENTS_MAX,
        queue_bytes: int = QUEUE_BYTES_MAX,
        spill_bytes: int = SPILL_BYTES_MAX,
        retry_first_s: float = RETRY_FIRST_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._sender = Sender(base_url, key, read_timeout_s)
        self._spill = _open_spill(spill, spill_bytes)
        self._queue_events, self._queue_bytes = queue_events, queue_bytes
        self._retry_first_s = retry_first_s
        self._changed = threading.Condition()
        self._queue: deque[Event] = deque()
        self._bytes = 0
        self._in_flight: Sequence[Event] = ()
        self._counts: Counter[str] = Counter()
        self._failures = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="nearmiss-reporter", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def report(self, event: Mapping[str, Any], images: Mapping[str, bytes] | None = None) -> bool:
        """Takes one event (the fields of the API's failure event) with its images, by hash. True if it was taken.

        Never waits for the network, never raises. An event that is no JSON or too large counts as invalid, one that
        finds the memory full as dropped.
        """
        try:
            return self._take(make_event(event, images or {}))
        except BadEvent as error:
            self._count("invalid", f"an event was not taken: {error}")
        except Exception as error:  # the host must not suffer, whatever it is
            self._count("invalid", f"an event was not taken: {type(error).__name__}")
        return False

    def flush(self, timeout_s: float) -> bool:
        """Waits until everything is sent, on disk too. False if something still waits after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout_s)

    def stats(self) -> Stats:
        with self._changed:
            names = ("stored", "duplicate", "conflict", "invalid", "dropped", "images", "failed_requests")
            waiting = len(self._queue) + len(self._in_flight)
            spilled = self._spill.batches if self._spill else 0
            return Stats(**{name: self._counts[name] for name in names}, waiting=waiting, spilled=spilled)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Sends what it can within `timeout_s`, puts the rest on disk (or drops and counts it), and ends.

        A second time does nothing.
        """
        if self._closing:
            return
        self.flush(timeout_s)
        with self._changed:
            self._closing = True
            rest = [*self._in_flight, *self._queue]
            self._queue.clear()
            self._bytes = 0
            self._changed.notify_all()
        self._set_aside(rest)
        self._thread.join(timeout=0.2)
        atexit.unregister(self.close)

    def _take(self, event: Event) -> bool:
        with self._changed:
            full = len(self._queue) >= self._queue_events or self._bytes + event.size > self._queue_bytes
            if full or self._closing:
                self._counts["dropped"] += 1
                return False
            self._queue.append(event)
            self._bytes += event.size
            self._changed.notify_all()
        return True

    def _run(self) -> None:
        while not self._closing:
            try:
                self._work()
            except Exception as error:  # this thread must outlive whatever happens to one batch
                log.error("reporting: %s", type(error).__name__)
                self._pause(RETRY_MAX_S)
        self._sender.close()

    def _work(self) -> None:
        """Sends one batch, or waits for one; after a failure sets everything aside and waits longer and longer."""
        spilled = self._spill.oldest() if self._spill else None
        events = spilled.events if spilled else self._next_batch()
        if not events:
            return
        try:
            counts = self._sender.send(events)
        except Unsent as error:
            self._failed(error)
            return
        if self._failures:
            log.info("reporting: the API is back")
        self._failures = 0
        if spilled and self._spill:
            self._spill.done(spilled)
        with self._changed:
            self._counts.update(counts)
            self._land()
            self._changed.notify_all()

    def _next_batch(self) -> Sequence[Event]:
        """The events to send next; waits for the first one, and a moment for more."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue or self._closing, timeout=1.0) or self._closing:
                return ()
            self._changed.wait_for(lambda: len(self._queue) >= EVENTS_PER_REQUEST or self._closing, LINGER_S)
            if self._closing:
                return ()
            self._in_flight = next(batches(self._queue), [])
            for _ in self._in_flight:
                self._queue.popleft()
            return self._in_flight

    def _land(self) -> None:
        """Nothing is in flight any more. For use under the lock."""
        self._bytes -= sum(event.size for event in self._in_flight)
        self._in_flight = ()

    def _failed(self, error: Unsent) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("reporting: %s; trying again until it works", error)
        with self._changed:
            self._counts["failed_requests"] += 1
            if self._closing:
                return  # what waited is already on disk
            self._queue.extendleft(reversed(self._in_flight))
            self._in_flight = ()
            if self._spill:
                self._in_flight = list(self._queue)
                self._queue.clear()
        if self._spill:
            self._set_aside(self._in_flight)
            with self._changed:
                self._land()
                self._changed.notify_all()
        backoff = min(RETRY_MAX_S, self._retry_first_s * 2 ** (self._failures - 1))
        self._pause(max(min(error.retry_after_s, RETRY_MAX_S), backoff * random.uniform(0.5, 1.0)))

    def _set_aside(self, events: Sequence[Event]) -> None:
        """To disk, or else dropped."""
        written = 0
        try:
            written = self._spill.put(events) if self._spill else 0
        except OSError as error:
            log.error("reporting: events can not be kept on disk: %s", error.strerror)
        if written < len(events):
            self._count("dropped", f"{len(events) - written} events were dropped", len(events) - written)

    def _count(self, what: str, message: str, n: int = 1) -> None:
        with self._changed:
            self._counts[what] += n
        log.warning("reporting: %s", message)

    def _pause(self, seconds: float) -> None:
        """Waits; the end cuts it short, and so does memory filling up while there is a disk to move to."""
        half = self._queue_bytes // 2, self._queue_events // 2

        def wake() -> bool:
            filling = self._bytes > half[0] or len(self._queue) > half[1]
            return self._closing or (self._spill is not None and filling)

        with self._changed:
            self._changed.wait_for(wake, seconds)

    def _is_idle(self) -> bool:
        return not self._queue and not self._in_flight and not (self._spill and self._spill.batches)


def _open_spill(folder: Path | None, limit_bytes: int) -> Spill | None:
    try:
        return Spill(folder, limit_bytes) if folder else None
    except OSError as error:
        log.error("reporting: no folder to keep events in: %s", error.strerror)
        return None
