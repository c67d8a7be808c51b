"""Events that wait on disk while the API is away; they outlive the process."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from ..files import write_atomically
from .events import Event, batches

SPILL_BYTES_MAX: Final = 1_000_000_000
"""Disk that waiting events and their images may take; what comes on top is dropped, and counted."""
BATCH_SUFFIX: Final = ".jsonl"
_ORDER: Final = count()


@dataclass(frozen=True, slots=True)
class SpilledBatch:
    """A batch read back; `path` is its file."""

    path: Path
    events: list[Event]


class Spill:
    """The folder. Several processes may share it: an event that two of them send is stored once."""

    def __init__(self, folder: Path, limit_bytes: int = SPILL_BYTES_MAX) -> None:
        self._folder = folder
        self._images = folder / "images"
        self._limit = limit_bytes
        self._images.mkdir(parents=True, exist_ok=True)
        self._bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self.batches = len(self._files())
        """Batches that wait, as far as this process knows."""

    def put(self, events: Sequence[Event]) -> int:
        """Writes the events. Returns how many of them: fewer than all when the limit is reached. Raises OSError."""
        written = 0
        for batch in batches(events):
            images = {name: data for event in batch for name, data in event.images.items()}
            new = {name: data for name, data in images.items() if not (self._images / name).is_file()}
            lines = [json.dumps({"event": event.text.decode(), "images": sorted(event.images)}) for event in batch]
            text = "".join(f"{line}\n" for line in lines).encode()
            size = len(text) + sum(map(len, new.values()))
            if self._bytes + size > self._limit:
                break
            for name, data in new.items():
                write_atomically(self._images / name, data)
            write_atomically(self._folder / f"{time.time_ns():020d}-{next(_ORDER):06d}{BATCH_SUFFIX}", text)
            self._bytes += size
            self.batches += 1
            written += len(batch)
        return written

    def oldest(self) -> SpilledBatch | None:
        """The batch that waits for longest. A file that can not be read any more is deleted and passed over."""
        files = self._files() if self.batches else []
        for path in files:
            try:
                lines = [json.loads(line) for line in path.read_text().splitlines()]
                return SpilledBatch(path, [self._event(line["event"], line["images"]) for line in lines])
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                self._delete(path)
        self.batches = 0
        return None

    def done(self, batch: SpilledBatch) -> None:
        """The batch is sent; when it was the last one, the images go too."""
        self._delete(batch.path)
        self.batches = len(self._files())
        if not self.batches:
            for image in self._images.iterdir():
                self._delete(image)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"[0-9]*{BATCH_SUFFIX}"))

    def _event(self, text: str, images: Sequence[str]) -> Event:
        paths = {name: self._images / name for name in images if name.isalnum()}
        return Event(text.encode(), {name: path.read_bytes() for name, path in paths.items() if path.is_file()})

    def _delete(self, path: Path) -> None:
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return
        self._bytes = max(0, self._bytes - size)
