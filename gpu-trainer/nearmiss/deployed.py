"""The miniature LVLM as a deployed client: it answers a world's questions, reports them, and follows the champion.

One JSON command a line on stdin, one JSON answer a line on stdout:
`{"cmd": "serve", "round": 0, "images": 200}`, `{"cmd": "evaluate"}`, `{"cmd": "refresh"}`, `{"cmd": "quit"}`.
A command that fails is answered with `{"cmd": .., "error": ..}`; the next one may work.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TextIO

from .answers import same
from .api import Api, ApiError, now_ms
from .client import Reporter
from .contract import GatePolicy
from .engine.adapters import BadAdapter, install
from .files import write_atomically
from .gate import Answered, slices_of, yes_rate
from .manifest import MODEL_FILES, files_sha256
from .miniature.model import Miniature, ModelError
from .state import State
from .worlds import Example, Item, World, WorldError

FLUSH_TIMEOUT_S: Final = 120.0
IMAGES_PER_BATCH: Final = 64
NO_ANSWER: Final = "(no answer)"
"""What is reported where the model said nothing: the API takes no empty response."""


class BadCommand(Exception):
    """A line that is no command. The message says why."""


@dataclass
class Deployed:
    """A served model, its world and its way to the API."""

    model_folder: Path
    world: World
    seed: int
    held_out_per_task: int
    api: Api
    reporter: Reporter
    state: State

    def __post_init__(self) -> None:
        """Raises `ModelError`."""
        self.adapter: str | None = None
        self.model = Miniature.load(self.model_folder)
        self.model_sha256 = files_sha256(self.model_folder, MODEL_FILES)

    def run(self, commands: TextIO, answers: TextIO) -> None:
        """Obeys until `quit` or the end of the input."""
        for line in commands:
            name = None
            try:
                command = _command(line)
                name = command["cmd"]
                if name == "quit":
                    return
                answer = self.obey(command)
            except (BadCommand, WorldError, ApiError, BadAdapter, ModelError, OSError) as error:
                answer = {"error": " ".join(str(error).split())}
            print(json.dumps({"cmd": name, **answer}), file=answers, flush=True)

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["cmd"]:
            case "serve":
                return self.serve(_whole(command, "round", 0), _whole(command, "images", 1))
            case "evaluate":
                return self.evaluate()
            case "refresh":
                return self.refresh()
        raise BadCommand(f"no command is called {command['cmd']!r}: there are serve, evaluate, refresh and quit")

    def serve(self, round_index: int, images: int) -> dict[str, Any]:
        """Answers the questions of this round's images and reports every answer; waits until all reports are out."""
        examples = self.world.deployment(round_index, images)
        tasks: dict[str, dict[str, int]] = {}
        for example, item, said in self._answers(examples):
            right = same(said, item.answer)
            task = tasks.setdefault(item.task, {"asked": 0, "right": 0})
            task["asked"] += 1
            task["right"] += right
            self.reporter.report(self._event(round_index, item, said, right), {example.image_sha256: example.png})
        flushed = self.reporter.flush(FLUSH_TIMEOUT_S)
        asked = sum(task["asked"] for task in tasks.values())
        right_ones = sum(task["right"] for task in tasks.values())
        return {
            "round": round_index,
            "images": len(examples),
            "adapter": self.adapter,
            "asked": asked,
            "right": right_ones,
            "wrong": asked - right_ones,
            "tasks": tasks,
            "flushed": flushed,
            "reporter": asdict(self.reporter.stats()),
        }

    def evaluate(self) -> dict[str, Any]:
        """Paired counts on the held-out images, in all, per task and per region: the base before, this model after."""
        examples = self.world.held_out(self.held_out_per_task)
        items = [item for example in examples for item in example.items]
        base = self._base_answers(examples)
        said = base if self.adapter is None else [text for _, _, text in self._answers(examples)]
        answered = [
            Answered(task=item.task, right=item.answer, before=before, after=after)
            for item, before, after in zip(items, base, said, strict=True)
        ]
        return {
            "adapter": self.adapter,
            "all": _slices(answered, ["all"] * len(items))[0],
            "tasks": _slices(answered, [item.task for item in items]),
            "regions": _slices(answered, [item.region for item in items]),
            "yesRate": yes_rate(answered).model_dump(by_alias=True),
        }

    def refresh(self) -> dict[str, Any]:
        """Takes up the champion, if it is another one. The old model goes on serving when that fails."""
        champion = self.api.champion()
        changed = champion.adapter != self.adapter
        if changed:
            self.model = Miniature.load(self.model_folder, adapter=self._installed(champion.adapter))
            self.adapter = champion.adapter
        return {"adapter": self.adapter, "roundId": champion.round_id, "changed": changed}

    def _installed(self, adapter: str | None) -> Path | None:
        if adapter is None:
            return None
        archive = self.state.adapter(self.api, adapter)
        shutil.rmtree(self.state.root / "installed", ignore_errors=True)
        return install(archive, self.state.root / "installed" / adapter)

    def _answers(self, examples: list[Example]) -> Iterator[tuple[Example, Item, str]]:
        for begin in range(0, len(examples), IMAGES_PER_BATCH):
            chunk = examples[begin : begin + IMAGES_PER_BATCH]
            questions = [[item.question for item in example.items] for example in chunk]
            answers = self.model.answer([example.png for example in chunk], questions)
            for example, texts in zip(chunk, answers, strict=True):
                yield from ((example, item, text) for item, text in zip(example.items, texts, strict=True))

    def _base_answers(self, examples: list[Example]) -> list[str]:
        """The base model's answers to the held-out questions; computed once for each model and set of questions."""
        asked = [(item.image_sha256, item.question) for example in examples for item in example.items]
        name = sha256(json.dumps([self.model_sha256, asked]).encode()).hexdigest()
        path = self.state.root / "base-answers" / f"{name}.json"
        if path.is_file():
            known: list[str] = json.loads(path.read_text())
            return known
        served, adapted = self.model, self.adapter is not None
        if adapted:
            self.model = Miniature.load(self.model_folder)
        try:
            said = [text for _, _, text in self._answers(examples)]
        finally:
            self.model = served
        write_atomically(path, json.dumps(said).encode())
        return said

    def _event(self, round_index: int, item: Item, said: str, right: bool) -> dict[str, Any]:
        key = f"{self.world.name}\n{self.seed}\n{round_index}\n{item.image_sha256}\n{item.question}"
        content = [{"type": "image", "sha256": item.image_sha256}, {"type": "text", "text": item.question}]
        return {
            "eventId": sha256(key.encode()).hexdigest()[:32],
            "occurredAt": now_ms(),
            "model": self.model_folder.resolve().name,
            "adapter": self.adapter,
            "conversation": [{"role": "user", "content": content}],
            "response": said or NO_ANSWER,
            "reference": item.answer,
            "rating": "up" if right else "down",
            "task": item.task,
            "language": "en",
        }


def _command(line: str) -> dict[str, Any]:
    try:
        command = json.loads(line)
    except ValueError as error:
        raise BadCommand(f"no JSON: {error}") from None
    if not isinstance(command, dict) or not isinstance(command.get("cmd"), str):
        raise BadCommand('a command is an object with a text "cmd"')
    return command


def _whole(command: dict[str, Any], name: str, least: int) -> int:
    value = command.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadCommand(f"{name}: must be a whole number from {least} on")
    return value


def _slices(answered: list[Answered], names: list[str]) -> list[dict[str, Any]]:
    """One slice a name, in order of the names; `names` are those of the items."""
    return [one.model_dump(by_alias=True) for one in slices_of(answered, names, GatePolicy())]
