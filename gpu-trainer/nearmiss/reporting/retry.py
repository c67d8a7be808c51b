"""How long to wait before the API is asked again."""

from __future__ import annotations

import random
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_FIRST_S: Final = 0.5
RETRY_MAX_S: Final = 60.0
RETRY_AFTER_MAX_S: Final = 900.0
"""However long the API asks to wait, it is not waited for longer."""
CLOSED_FACTOR: Final = 60
"""An API that is closed to this key needs a person: it is asked this much more seldom."""
CLOSED_MAX_S: Final = 900.0
DOUBLINGS_MAX: Final = 20


class Unsent(Exception):
    """The API is away, overloaded, closed to this key, or talks nonsense: to be tried again. Fit for a log."""

    def __init__(self, message: str, retry_after_s: float = 0.0, closed: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.closed = closed


class Backoff:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).

    What the API asks to wait comes on top, so that not all of its clients are back at the same moment.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self.failures = 0
        """Failures in a row."""

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, error: Unsent) -> float:
        """Seconds to wait."""
        doubled = self._first_s * 2.0 ** min(self.failures, DOUBLINGS_MAX)
        self.failures += 1
        if error.closed:
            pause_s = random.uniform(0.5, 1.0) * min(CLOSED_MAX_S, doubled * CLOSED_FACTOR)
        else:
            pause_s = random.uniform(0.0, 1.0) * min(RETRY_MAX_S, doubled)
        return pause_s + min(error.retry_after_s, RETRY_AFTER_MAX_S)


def retry_after_s(header: str) -> float:
    """Seconds from now that a Retry-After header (RFC 9110, 10.2.3: seconds or a date) asks for; 0 for nonsense."""
    if header.isascii() and header.isdecimal():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
