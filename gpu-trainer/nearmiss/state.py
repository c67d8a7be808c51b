"""The trainer's folder: its name, its caches, and what it needs to go on with a round after any end of the process.

trainer                 the name under which rounds are claimed
lock                    held while a round runs
images/                 images by hash
adapters/               adapters by hash
round/identity.json     which round, batch, reference and recipe the files beside it belong to
round/reference.json    scores and gate answers of the reference
round/checkpoint.pt     the trained weights, the optimizer, the random state and the steps done
"""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import torch

from .api import Api
from .engine.training import Score, Scores
from .files import write_atomically

ADAPTERS_KEPT: Final = 4
"""Archives kept in the cache, the newest ones."""


class StateError(Exception):
    """The folder can not be used; one line for the operator."""


class State:
    """The folder `root`, made if need be. Raises `StateError`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._round = root / "round"
        try:
            root.mkdir(parents=True, exist_ok=True)
            (root / "lock").touch()
        except OSError as error:
            raise StateError(f"state folder {root}: {error.strerror}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One round at a time. Raises `StateError` while another process has it."""
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StateError(f"state folder {self.root}: another round runs on it") from None
            yield

    def trainer_name(self) -> str:
        """The same at every start on this folder, so that an unfinished round is found again."""
        path = self.root / "trainer"
        if not path.is_file():
            write_atomically(path, f"{socket.gethostname()[:100]}-{token_hex(4)}".encode())
        return path.read_text().strip()

    @property
    def images(self) -> Path:
        return self.root / "images"

    def adapter(self, api: Api, digest: str) -> bytes:
        """The adapter of this hash, from the folder or else from the API. Raises `ApiError`."""
        path = self.root / "adapters" / f"{digest}.tar"
        if path.is_file():
            data = path.read_bytes()
            if sha256(data).hexdigest() == digest:
                return data
        data = api.adapter(digest)
        write_atomically(path, data)
        for old in sorted(path.parent.glob("*.tar"), key=lambda one: one.stat().st_mtime)[:-ADAPTERS_KEPT]:
            old.unlink(missing_ok=True)
        return data

    def begin(self, identity: Mapping[str, Any]) -> bool:
        """Makes the round's files those of `identity`, deleting those of any other. True if there were some of it."""
        path = self._round / "identity.json"
        text = json.dumps(identity, sort_keys=True)
        if path.is_file() and path.read_text() == text:
            return True
        self.clear()
        write_atomically(path, text.encode())
        return False

    def clear(self) -> None:
        """Forgets the round."""
        shutil.rmtree(self._round, ignore_errors=True)

    def save_reference(self, scores: Scores, answers: Mapping[str, str]) -> None:
        document = {"scores": {pair: asdict(one) for pair, one in scores.items()}, "answers": dict(answers)}
        write_atomically(self._round / "reference.json", json.dumps(document).encode())

    def load_reference(self) -> tuple[Scores, dict[str, str]] | None:
        path = self._round / "reference.json"
        if not path.is_file():
            return None
        document = json.loads(path.read_text())
        return {pair: Score(**one) for pair, one in document["scores"].items()}, document["answers"]

    def save_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(dict(checkpoint), buffer)
        write_atomically(self._round / "checkpoint.pt", buffer.getvalue())

    def load_checkpoint(self) -> dict[str, Any] | None:
        path = self._round / "checkpoint.pt"
        if not path.is_file():
            return None
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        return checkpoint
