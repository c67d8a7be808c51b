"""What went wrong, told to the log and to the host; off the host's own threads, whose calls must not wait."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

NOTICES_MAX: Final = 100
"""Different messages that wait to be told; further ones are lost."""

log = logging.getLogger("nearmiss.client")


class Notices:
    """Collects messages until the reporter's thread calls `tell()`; the same one is told once, with its number."""

    def __init__(self, on_error: Callable[[str], object] | None) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()

    def add(self, message: str) -> None:
        with self._lock:
            if message in self._waiting or len(self._waiting) < NOTICES_MAX:
                self._waiting[message] += 1

    def tell(self) -> None:
        """Never raises, whatever the host's function does."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
        for message, times in waiting.items():
            text = message if times == 1 else f"{message} ({times} times)"
            log.warning("reporting: %s", text)
            if self._on_error is None:
                continue
            try:
                self._on_error(text)
            except (Exception, SystemExit) as error:
                log.warning("reporting: on_error raised %s", type(error).__name__)
