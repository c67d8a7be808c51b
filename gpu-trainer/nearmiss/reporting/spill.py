"""Events that wait on disk while the API is away; they outlive the process."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, get_args

from ..files import write_atomically
from .events import Event, Kind, batches

SPILL_BYTES_MAX: Final = 1_000_000_000
"""Disk that waiting events and their images may take; what comes on top is dropped, and counted."""
BATCH_SUFFIX: Final = ".batch"
DRAFT_AGE_MAX_S: Final = 3_600
"""A file that somebody began to write so long ago is never finished."""
_ORDER: Final = count()


@dataclass(frozen=True, slots=True)
class SpilledBatch:
    """A batch read back; `path` is its file."""

    path: Path
    events: list[Event]


class Spill:
    """The folder. Several processes may share it: an event that two of them send is stored once.

    A batch is one file: a line of JSON (the events, the lengths of the images), then the images' bytes.
    """

    def __init__(self, folder: Path, limit_bytes: int = SPILL_BYTES_MAX) -> None:
        """Raises OSError."""
        self._folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._unreadable: set[Path] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(f".*{BATCH_SUFFIX}.*"):
            if time.time() - draft.stat().st_mtime > DRAFT_AGE_MAX_S:
                draft.unlink(missing_ok=True)
        self._bytes = sum(path.stat().st_size for path in self._files())
        self.batches = len(self._files())
        """Batches that wait, as far as this process knows."""

    def put(self, events: Sequence[Event]) -> int:
        """Writes the events. Returns how many of them: fewer than all when the limit is reached. Raises OSError."""
        written = 0
        for batch in batches(events):
            data = _packed(batch)
            name = f"{time.time_ns():020d}-{next(_ORDER):06d}-{os.getpid()}{BATCH_SUFFIX}"
            with self._lock:
                if self._bytes + len(data) > self._limit:
                    break
                write_atomically(self._folder / name, data)
                self._bytes += len(data)
                self.batches += 1
            written += len(batch)
        return written

    def oldest(self) -> SpilledBatch | None:
        """The batch that waits for longest. A spoilt file is deleted, an unreadable one left to a later process."""
        if not self.batches:
            return None
        for path in self._files():
            try:
                return SpilledBatch(path, _unpacked(path.read_bytes()))
            except OSError:
                self._unreadable.add(path)
            except (ValueError, KeyError, TypeError):
                self._delete(path)
        self._recount()
        return None

    def done(self, batch: SpilledBatch) -> None:
        """The batch is sent."""
        self._delete(batch.path)
        self._recount()

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob(f"[0-9]*{BATCH_SUFFIX}") if path not in self._unreadable)

    def _recount(self) -> None:
        with self._lock:
            self.batches = len(self._files())

    def _delete(self, path: Path) -> None:
        with self._lock:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                return
            self._bytes = max(0, self._bytes - size)


def _packed(events: Sequence[Event]) -> bytes:
    images = {name: data for event in events for name, data in event.images.items()}
    head = {
        "events": [[event.kind, event.text.decode(), list(event.images)] for event in events],
        "images": [[name, len(data)] for name, data in images.items()],
    }
    return b"".join([json.dumps(head, ensure_ascii=False).encode(), b"\n", *images.values()])


def _unpacked(data: bytes) -> list[Event]:
    """Raises ValueError, KeyError or TypeError for what is no whole batch."""
    end = data.index(b"\n")
    head = json.loads(data[:end])
    images: dict[str, bytes] = {}
    begin = end + 1
    for name, length in head["images"]:
        images[name] = data[begin : begin + length]
        begin += length
    if begin != len(data):
        raise ValueError("not a whole batch")
    events = [(kind, text.encode(), {name: images[name] for name in names}) for kind, text, names in head["events"]]
    if not all(kind in get_args(Kind) for kind, _, _ in events):
        raise ValueError("events of no known kind")
    return [Event(*event) for event in events]
