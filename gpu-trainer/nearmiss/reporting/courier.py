"""The threads that bring events from memory to the API, by way of the disk where that is needed."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from .events import BadEvent, Draft, Event, Redact, RedactionFailed, finish
from .memory import IDLE_S, Memory
from .notices import Notices
from .retry import RETRY_MAX_S, Backoff, Unsent
from .sender import Sender
from .spill import Spill

BATCH_BYTES: Final = 16_000_000
"""A batch with its images is closed when it is larger than this."""
CLOSE_GRACE_S: Final = 5.0
"""What the end takes at most to hash, redact and write what was not sent."""
JOIN_S: Final = 0.2

log = logging.getLogger("nearmiss.client")


class Courier:
    """One sends. With `durable` another one writes all that it sends to disk before."""

    def __init__(
        self,
        memory: Memory,
        sender: Sender,
        spill: Spill | None,
        *,
        durable: bool,
        redact: Redact | None,
        backoff: Backoff,
        notices: Notices,
    ) -> None:
        self.memory, self.spill, self.notices = memory, spill, notices
        self.counts: Counter[str] = Counter()
        """What became of the events; guarded by `memory.changed`."""
        self._sender, self._redact, self._backoff = sender, redact, backoff
        writes_ahead = durable and spill is not None
        self._moves_to_disk = spill is not None and not durable
        steps = [self._send_spilled, self._write_ahead] if writes_ahead else [self._send]
        self._threads = [
            threading.Thread(target=self._run, args=(step,), name="nearmiss-reporter", daemon=True) for step in steps
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_idle(self) -> bool:
        return not self.memory.waiting and not (self.spill and self.spill.batches)

    def count(self, what: str, n: int = 1) -> None:
        with self.memory.changed:
            self.counts[what] += n

    def close(self) -> None:
        """Ends, and puts what waits on disk; what can not go there is dropped."""
        rest = self.memory.close()
        end = time.monotonic() + CLOSE_GRACE_S
        while rest and self.spill and time.monotonic() < end:
            events, rest = self._prepare(rest)
            self._set_aside(events)
        self._drop(len(rest))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=JOIN_S)
        self._sender.close()
        self.notices.tell()

    def _run(self, step: Callable[[], None]) -> None:
        while not self.memory.closed:
            try:
                step()
            except Exception as error:  # a thread must outlive whatever happens to one batch
                log.error("reporting: %s", type(error).__name__)
                self._pause(RETRY_MAX_S)
            self.notices.tell()

    def _send(self) -> None:
        """Sends what waits on disk, or else in memory."""
        if self.spill and self.spill.batches:
            if self.memory.is_filling:
                self._empty_memory()
            self._send_spilled()
            return
        events = self._next_events()
        if events and self._sent(events):
            self.memory.done()

    def _send_spilled(self) -> None:
        assert self.spill
        batch = self.spill.oldest()
        if batch is None:
            self.memory.wait(lambda: self.spill is not None and self.spill.batches > 0, IDLE_S)
        elif self._sent(batch.events):
            self.spill.done(batch)
            self.memory.notify()

    def _write_ahead(self) -> None:
        events = self._next_events()
        if events:
            self._set_aside(events)
            self.memory.done()

    def _next_events(self) -> Sequence[Event]:
        events, unused = self._prepare(self.memory.take())
        self.memory.hold(events, unused)
        if not events:
            self.memory.done()
        return events

    def _prepare(self, items: Sequence[Draft | Event]) -> tuple[list[Event], Sequence[Draft | Event]]:
        """Hashes and redacts, up to a batch's bytes. Returns the events, and what is left for the next time."""
        events: list[Event] = []
        size = 0
        for index, item in enumerate(items):
            if size > BATCH_BYTES:
                return events, items[index:]
            event = item if isinstance(item, Event) else self._finished(item)
            if event:
                events.append(event)
                size += event.size
        return events, ()

    def _finished(self, draft: Draft) -> Event | None:
        try:
            event = finish(draft, self._redact)
            if event is None:
                self.count("withheld")
            return event
        except RedactionFailed as error:
            self.count("redaction_failed")
            self.notices.add(f"an event was dropped, its redaction failed: {error}")
        except Exception as error:  # whatever it is, it must not hold up the others
            self.count("invalid")
            self.notices.add(f"an event was not taken: {reason_of(error)}")
        return None

    def _sent(self, events: Sequence[Event]) -> bool:
        """Sends the events; after a failure sees to it that memory gets free, and waits longer and longer."""
        try:
            counts = self._sender.send(events)
        except Exception as error:  # what is not known to be sent is sent again
            self._failed(error if isinstance(error, Unsent) else Unsent(type(error).__name__))
            return False
        if self._backoff.failures:
            log.info("reporting: the API is back")
        self._backoff.succeeded()
        with self.memory.changed:
            self.counts.update(counts)
        return True

    def _failed(self, error: Unsent) -> None:
        pause_s = self._backoff.failed(error)
        self.count("failed_requests")
        if self._backoff.failures == 1:
            self.notices.add(f"{error}; trying again until it works")
        if not self.memory.closed:
            self._empty_memory()
            self._pause(pause_s)

    def _empty_memory(self) -> None:
        """To disk, if there is one."""
        while self._moves_to_disk and (items := self.memory.take_now()):
            events, unused = self._prepare(items)
            self.memory.hold(events, unused)
            self._set_aside(events)
            self.memory.done()

    def _pause(self, seconds: float) -> None:
        """Waits; the end cuts it short. Memory that fills up meanwhile is emptied."""
        end = time.monotonic() + seconds
        while not self.memory.closed and (left := end - time.monotonic()) > 0:
            self.notices.tell()
            if self.memory.wait(lambda: self._moves_to_disk and self.memory.is_filling, min(left, IDLE_S)):
                self._empty_memory()

    def _set_aside(self, events: Sequence[Event]) -> None:
        """To disk, or else dropped."""
        written = 0
        try:
            written = self.spill.put(events) if self.spill else 0
        except OSError as error:
            self.notices.add(f"events can not be kept on disk: {error.strerror}")
        self._drop(len(events) - written)

    def _drop(self, events: int) -> None:
        if events:
            self.count("dropped", events)
            self.notices.add("events were dropped for want of room")


def reason_of(error: Exception) -> str:
    """Fit for a log: nothing of the event."""
    return str(error) if isinstance(error, BadEvent) else type(error).__name__
