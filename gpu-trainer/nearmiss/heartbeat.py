"""Keeps a round's lease alive while it is worked on, and carries its progress."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

from .api import Api, ApiError, Lease, LeaseLost
from .contract import Phase
from .engine.training import Preempted

BEATS_PER_TTL: Final = 4
INTERVAL_MAX_S: Final = 10.0


class Heartbeat:
    """A thread that beats; the work tells it where it is and asks it whether to go on."""

    def __init__(self, api: Api, lease: Lease, stop: threading.Event) -> None:
        self._api = api
        self._lease = lease
        self._stop = stop
        self._lost: LeaseLost | None = None
        self._ended = threading.Event()
        self._at: tuple[Phase, int, int] = ("fetch", 0, 0)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=INTERVAL_MAX_S)

    def check(self) -> None:
        """Raises `LeaseLost` once the lease is gone, `Preempted` once the process was asked to end."""
        if self._lost:
            raise self._lost
        if self._stop.is_set():
            raise Preempted

    def at(self, phase: Phase, step: int, steps: int) -> None:
        """Where the work is; sent with the next beat. Raises as `check` does."""
        self._at = (phase, step, steps)
        self.check()

    def preempted(self) -> None:
        """Says that this process ends and the round is to be gone on with. Silent when that fails."""
        self._ended.set()
        _, step, steps = self._at
        try:
            self._api.heartbeat(self._lease, "preempted", step, steps)
        except ApiError:
            return

    def _run(self) -> None:
        interval_s = min(INTERVAL_MAX_S, self._lease.ttl_s / BEATS_PER_TTL)
        while not self._ended.wait(interval_s):
            try:
                self._api.heartbeat(self._lease, *self._at)
            except LeaseLost as error:
                self._lost = error
                return
            except ApiError:
                continue  # the lease lives until it expires; the next beat may get through
