"""What a round shows while it runs: one JSON object a line, or a bar for people."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final, Protocol

from tqdm import tqdm


class Progress(Protocol):
    """`phase` opens a phase of `steps` steps, `step` moves on in it, `end` closes the whole with the summary."""

    def phase(self, name: str, steps: int) -> None: ...
    def step(self, step: int, **measured: float) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self, summary: dict[str, Any]) -> None: ...


LINE_EVERY_S: Final = 0.5
"""Steps that measured nothing are shown no more often than this."""


class JsonLines:
    """A line each on stdout, as it happens; the last line is the summary."""

    def __init__(self) -> None:
        self._phase = ""
        self._steps = 0
        self._shown = 0.0

    def phase(self, name: str, steps: int) -> None:
        self._phase, self._steps = name, steps
        self._print({"phase": name, "step": 0, "steps": steps})

    def step(self, step: int, **measured: float) -> None:
        now = time.monotonic()
        if measured or step == self._steps or now - self._shown >= LINE_EVERY_S:
            self._shown = now
            self._print({"phase": self._phase, "step": step, "steps": self._steps, **measured})

    def note(self, text: str) -> None:
        self._print({"note": text})

    def end(self, summary: dict[str, Any]) -> None:
        self._print({"summary": summary})

    def _print(self, line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)


class Bar:
    """One bar a phase on stderr, the outcome on stdout."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def phase(self, name: str, steps: int) -> None:
        self._close()
        self._bar = tqdm(total=steps, desc=name, unit="", dynamic_ncols=True, file=sys.stderr)

    def step(self, step: int, **measured: float) -> None:
        if self._bar is None:
            return
        if measured:
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in measured.items()}, refresh=False)
        self._bar.update(step - self._bar.n)

    def note(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    def end(self, summary: dict[str, Any]) -> None:
        self._close()
        for name, value in summary.items():
            print(f"{name}: {value if isinstance(value, str | int | float) else json.dumps(value)}")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Stopwatch:
    """Seconds by phase; a phase that comes again adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase: str | None = None
        self._since = time.monotonic()

    def enter(self, phase: str | None) -> None:
        """Ends the phase that runs, and begins another one if named."""
        now = time.monotonic()
        if self._phase is not None:
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
