"""Reports from a deployed app: `report()` returns at once and never raises; a thread does the rest.

    reporter = Reporter("https://nearmiss.example", key, spill=Path("/var/lib/app/nearmiss"))
    question = [{"type": "image", "sha256": png_bytes}, {"type": "text", "text": "How many dogs?"}]
    reporter.report({"model": "m", "conversation": [{"role": "user", "content": question}], "response": "Two dogs."})
    reporter.close()

Events wait in memory, up to a limit, and go out in batches. While the API is away they move to disk, if a folder was
given, and go out when it is back, in this process or a later one. An event may be sent twice; it is stored once.

A process that is killed loses what is in memory. With `durable`, every batch is on disk before it is sent, so that no
more is lost than what came within `LINGER_S`, or while the batch before was written. After a fork the child reports for
itself, with an empty memory; if it ends by `os._exit`, it has to call `close()` before.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from .reporting.courier import Courier, reason_of
from .reporting.events import Draft, Kind, Redact, make_draft
from .reporting.memory import QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, Memory
from .reporting.notices import Notices
from .reporting.retry import RETRY_FIRST_S, Backoff
from .reporting.sampling import is_sampled
from .reporting.sender import READ_TIMEOUT_S, Sender
from .reporting.spill import SPILL_BYTES_MAX, Spill

CLOSE_TIMEOUT_S: Final = 5.0

log = logging.getLogger("nearmiss.client")


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events so far. `waiting` ones are in memory, `spilled` batches on disk."""

    stored: int
    duplicate: int
    queued: int
    """Written down by the API, which was too busy to store them at once: delivered."""
    held: int
    """Of the stored ones: kept aside by the API until an operator releases them."""
    conflict: int
    invalid: int
    dropped: int
    """For want of room."""
    sampled_out: int
    withheld: int
    """By the redaction."""
    redaction_failed: int
    """Dropped, because the redaction raised."""
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
        durable: bool = False,
        sample_rate: float = 1.0,
        sample_corrections: bool = False,
        redact: Redact | None = None,
        on_error: Callable[[str], object] | None = None,
        queue_events: int = QUEUE_EVENTS_MAX,
        queue_bytes: int = QUEUE_BYTES_MAX,
        spill_bytes: int = SPILL_BYTES_MAX,
        retry_first_s: float = RETRY_FIRST_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Raises ValueError for options that make no sense.

        `sample_rate` is the share of events that is kept; those with a correction are all kept, unless
        `sample_corrections`. `redact` gets each event before it leaves memory and returns what may be sent, or None; if
        it raises, the event is dropped. `on_error` hears what is also logged. Both run on the reporter's thread, at the
        end in `close()`.
        """
        if not 0 <= sample_rate <= 1:
            raise ValueError("sample_rate must be from 0 to 1")
        if durable and spill is None:
            raise ValueError("durable needs a folder: spill")
        self._sample_rate, self._sample_corrections = sample_rate, sample_corrections

        def start() -> Courier:
            notices = Notices(on_error)
            return Courier(
                Memory(queue_events, queue_bytes),
                Sender(base_url, key, read_timeout_s, notices.add),
                _open_spill(spill, spill_bytes),
                durable=durable,
                redact=redact,
                backoff=Backoff(retry_first_s),
                notices=notices,
            )

        self._start = start
        self._courier = start()
        atexit.register(self.close)
        _REPORTERS.add(self)

    def report(
        self, event: Mapping[str, Any], images: Mapping[str, bytes] | None = None, *, sample_key: str | None = None
    ) -> bool:
        """Takes one event (the fields of the API's failure event). True if it was taken.

        The bytes of its images are given by hash in `images`, or stand where the event wants a `sha256`: then they are
        hashed later. Events of one `sample_key` are kept or left out together; without one, the event's id decides.

        Never waits for the network or the disk, never raises. An event that is no JSON or too large counts as invalid,
        one that finds the memory full as dropped.
        """
        return self._report("failures", event, images or {}, sample_key)

    def report_pair(
        self, event: Mapping[str, Any], images: Mapping[str, bytes] | None = None, *, sample_key: str | None = None
    ) -> bool:
        """As `report()`, for the API's pair event: two responses to one prompt, each with its reward."""
        return self._report("pairs", event, images or {}, sample_key)

    def not_reported(self, reason: str) -> None:
        """Counts an event that could not be made as invalid."""
        self._courier.count("invalid")
        self._courier.notices.add(f"an event was not taken: {reason}")

    def flush(self, timeout_s: float) -> bool:
        """Waits until everything is sent, on disk too. False if something still waits after `timeout_s`."""
        courier = self._courier
        with courier.memory.changed:
            return courier.memory.changed.wait_for(lambda: courier.is_idle, timeout_s)

    def stats(self) -> Stats:
        courier = self._courier
        with courier.memory.changed:
            spilled = courier.spill.batches if courier.spill else 0
            counts = {**courier.counts, "waiting": courier.memory.waiting, "spilled": spilled}
            return Stats(**{one.name: counts.get(one.name, 0) for one in fields(Stats)})

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Sends what it can within `timeout_s`, puts the rest on disk (or drops and counts it), and ends.

        A second time does nothing.
        """
        if not self._courier.memory.closed:
            self.flush(timeout_s)
            self._courier.close()
            atexit.unregister(self.close)

    def _report(self, kind: Kind, event: Mapping[str, Any], images: Mapping[str, bytes], key: str | None) -> bool:
        try:
            draft = make_draft(kind, event, images)
            if not self._is_wanted(draft, key):
                self._courier.count("sampled_out")
                return False
            taken = self._courier.memory.put(draft)
            if not taken:
                self._courier.count("dropped")
                self._courier.notices.add("events were dropped for want of room")
            return taken
        except Exception as error:  # the host must not suffer, whatever it is
            self.not_reported(reason_of(error))
            return False

    def _is_wanted(self, draft: Draft, key: str | None) -> bool:
        kept_anyway = draft.has_correction and not self._sample_corrections
        return kept_anyway or is_sampled(draft.event_id if key is None else key, self._sample_rate)

    def _after_fork(self) -> None:
        """The child has no threads, and what waits is the parent's to send."""
        if not self._courier.memory.closed:
            self._courier = self._start()


_REPORTERS: Final[WeakSet[Reporter]] = WeakSet()


def _open_spill(folder: Path | None, limit_bytes: int) -> Spill | None:
    try:
        return Spill(folder, limit_bytes) if folder else None
    except OSError as error:
        log.error("reporting: no folder to keep events in: %s", error.strerror)
        return None


def _after_fork_in_child() -> None:
    for reporter in list(_REPORTERS):
        reporter._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
