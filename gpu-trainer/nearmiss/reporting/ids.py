"""Event ids that grow with time, which the API stores fastest."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

COUNTER_MAX: Final = 0xFFF
_VERSION: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
_RANDOM_BITS: Final = (1 << 62) - 1


class IdMaker:
    """Makes ids, each greater than the one before, whatever the clock does and from whichever thread it is asked.

    They are UUIDs of version 7 (RFC 9562, 5.7) whose 12 bits after the version are a counter of fixed length, seeded
    anew in every millisecond with its highest bit clear (6.2, method 1). A counter that is full borrows the next
    millisecond.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0

    def __call__(self) -> str:
        random = int.from_bytes(os.urandom(10), "big")
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._ms:
                self._ms, self._counter = now, (random >> 62) & (COUNTER_MAX >> 1)
            elif self._counter < COUNTER_MAX:
                self._counter += 1
            else:
                self._ms, self._counter = self._ms + 1, 0
            whole = self._ms << 80 | _VERSION | self._counter << 64 | _VARIANT | random & _RANDOM_BITS
        text = f"{whole:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


new_event_id: Final = IdMaker()
if hasattr(os, "register_at_fork"):
    # Another thread may have held the lock when the process forked. The random bits tell parent and child apart.
    os.register_at_fork(after_in_child=new_event_id.__init__)  # type: ignore[misc]
