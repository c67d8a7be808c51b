"""Events that wait in memory, up to a limit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from .events import EVENTS_PER_REQUEST, Draft, Event

QUEUE_EVENTS_MAX: Final = 20_000
QUEUE_BYTES_MAX: Final = 64_000_000
"""Memory that waiting events with their images may take; what comes on top is dropped, and counted."""
LINGER_S: Final = 0.2
"""How long the first event of a batch waits for company."""
IDLE_S: Final = 1.0
"""A thread that waits looks up this often."""


class Memory:
    """Events in order of arrival. One thread takes them; what it took still counts until it says it is done with it."""

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self.changed = threading.Condition()
        """Guards all of it. Notified whenever a thread that waits may have something to do."""
        self.taken: Sequence[Draft | Event] = ()
        self.closed = False
        self._queue: deque[Draft | Event] = deque()
        self._events_max, self._bytes_max = events_max, bytes_max
        self._bytes = 0
        self._taken_bytes = 0

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self.taken)

    @property
    def is_filling(self) -> bool:
        """Half of it is used."""
        return self.waiting * 2 >= self._events_max or self._bytes * 2 >= self._bytes_max

    def put(self, draft: Draft) -> bool:
        """False if there is no room, or it is closed."""
        with self.changed:
            size = draft.size
            if self.closed or self.waiting >= self._events_max or self._bytes + size > self._bytes_max:
                return False
            was_filling = self.is_filling
            self._queue.append(draft)
            self._bytes += size
            if len(self._queue) == 1 or len(self._queue) == EVENTS_PER_REQUEST or self.is_filling != was_filling:
                self.changed.notify_all()
        return True

    def take(self) -> Sequence[Draft | Event]:
        """What is still taken, or up to a request's worth: waits for the first one, and a moment for more.

        Empty if nothing came, or when it is closed.
        """
        if not self.taken and self.wait(lambda: len(self._queue) > 0, IDLE_S):
            self.wait(lambda: len(self._queue) >= EVENTS_PER_REQUEST or self.is_filling, LINGER_S)
        return self.take_now()

    def take_now(self) -> Sequence[Draft | Event]:
        """What is still taken, or up to a request's worth of what is there."""
        with self.changed:
            if not self.taken and not self.closed:
                self.taken = [self._queue.popleft() for _ in range(min(len(self._queue), EVENTS_PER_REQUEST))]
                self._taken_bytes = sum(one.size for one in self.taken)
            return () if self.closed else self.taken

    def hold(self, events: Sequence[Event], unused: Sequence[Draft | Event]) -> None:
        """What was taken has become `events`, and `unused`, which goes back to the front."""
        with self.changed:
            if not self.closed:
                self.taken = events
                self._queue.extendleft(reversed(unused))
                self._taken_bytes -= sum(one.size for one in unused)

    def done(self) -> None:
        """What was taken is sent, on disk or dropped."""
        with self.changed:
            if not self.closed:
                self._bytes -= self._taken_bytes
                self.taken, self._taken_bytes = (), 0
            self.changed.notify_all()

    def close(self) -> Sequence[Draft | Event]:
        """Takes nothing any more. Returns all that waits, what was taken included."""
        with self.changed:
            rest = [*self.taken, *self._queue]
            self.closed = True
            self.taken, self._taken_bytes, self._bytes = (), 0, 0
            self._queue.clear()
            self.changed.notify_all()
        return rest

    def notify(self) -> None:
        """Wakes whoever waits for something outside."""
        with self.changed:
            self.changed.notify_all()

    def wait(self, true: Callable[[], bool], seconds: float) -> bool:
        """Waits until `true`, or the end. False after `seconds`, and when closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or true(), seconds)
            return not self.closed and true()
