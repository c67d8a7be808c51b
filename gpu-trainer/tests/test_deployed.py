"""The miniature as a deployed client: what it reports, what it measures, and how it follows the champion."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from batches import scenes
from fake_api import KEY, FakeApi, serving
from fake_intake import Intake
from nearmiss.__main__ import main
from nearmiss.answers import same
from nearmiss.api import Api
from nearmiss.client import Reporter
from nearmiss.deployed import Deployed
from nearmiss.engine.adapters import Adapter
from nearmiss.engine.model import Vlm
from nearmiss.state import State
from nearmiss.worlds import open_world

MINIATURE = Path(__file__).parent.parent / "miniature"
IMAGES = 6


class WholeApi(FakeApi):
    """Both halves of the API."""

    def __init__(self) -> None:
        super().__init__([], [], {})
        self.intake = Intake()

    def answer(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes):
        if path.startswith("/v1/failures") or (path.startswith("/v1/images") and method != "GET"):
            return (*self.intake.answer(method, path, body, headers.get("content-encoding")), {})
        return super().answer(method, path, query, headers, body)


@pytest.fixture
def fake() -> Iterator[WholeApi]:
    with serving(WholeApi()) as api:
        assert isinstance(api, WholeApi)
        yield api


@pytest.fixture
def deployed(fake: WholeApi, tmp_path: Path) -> Iterator[Deployed]:
    with Api(fake.url, KEY, attempts=2, retry_first_s=0.01) as api:
        reporter = Reporter(fake.url, KEY, retry_first_s=0.02)
        yield Deployed(MINIATURE, open_world("scenes", None, 0), 0, 5, api, reporter, State(tmp_path))
        reporter.close(timeout_s=0)


@pytest.fixture(scope="module")
def archive() -> bytes:
    """An adapter that changes answers."""
    vlm = Vlm.load(MINIATURE, lambda name: pytest.fail(f"no image is needed, {name} was asked for"))
    adapter = Adapter.attach(vlm, 8, seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return adapter.archive()


def test_it_reports_every_answer_with_its_image(fake: WholeApi, deployed: Deployed) -> None:
    counts = deployed.serve(0, IMAGES)
    examples = scenes(0, IMAGES)
    items = {(item.image_sha256, item.question): item for example in examples for item in example.items}
    assert counts["asked"] == counts["right"] + counts["wrong"] == len(items) == len(fake.intake.events)
    assert counts["flushed"]
    assert counts["reporter"]["stored"] == len(items)
    assert sum(task["right"] for task in counts["tasks"].values()) == counts["right"] > 0
    assert fake.intake.image_before_event
    assert set(fake.intake.images) == {example.image_sha256 for example in examples}
    for event in fake.intake.events.values():
        image, text = event["conversation"][0]["content"]
        item = items[image["sha256"], text["text"]]
        assert (event["reference"], event["task"], event["language"]) == (item.answer, item.task, "en")
        assert event["rating"] == ("up" if same(event["response"], item.answer) else "down")
        assert event["adapter"] is None
        assert event["model"] == "miniature"


def test_serving_a_round_again_stores_nothing_twice(fake: WholeApi, deployed: Deployed) -> None:
    first = deployed.serve(0, IMAGES)
    deployed.serve(0, IMAGES)
    assert len(fake.intake.events) == first["asked"]
    other = deployed.serve(1, IMAGES)
    assert len(fake.intake.events) == first["asked"] + other["asked"]


def test_it_measures_itself_beside_the_base_item_by_item(fake: WholeApi, deployed: Deployed, archive: bytes) -> None:
    base = deployed.evaluate()
    assert base["adapter"] is None
    assert (base["all"]["fixed"], base["all"]["broken"]) == (0, 0)
    assert base["all"]["n"] == sum(one["n"] for one in base["tasks"]) == sum(one["n"] for one in base["regions"])
    assert base["all"]["rightBefore"] == base["all"]["rightAfter"] > 0
    assert 0 < base["yesRate"]["truth"] < 1

    digest = sha256(archive).hexdigest()
    fake.adapters[digest] = archive
    fake.champion = digest
    assert deployed.refresh() == {"adapter": digest, "roundId": None, "changed": True}
    assert deployed.refresh()["changed"] is False
    after = deployed.evaluate()
    assert after["adapter"] == digest
    assert after["all"]["rightBefore"] == base["all"]["rightBefore"]
    assert after["all"]["broken"] > 0
    assert after["all"]["rightAfter"] - after["all"]["rightBefore"] == after["all"]["fixed"] - after["all"]["broken"]
    assert deployed.serve(0, 1)["adapter"] == digest

    fake.champion = None
    assert deployed.refresh()["adapter"] is None
    assert deployed.evaluate() == base


def test_a_spoilt_or_foreign_champion_leaves_the_old_model_serving(fake: WholeApi, deployed: Deployed) -> None:
    junk = b"no adapter"
    fake.champion = sha256(junk).hexdigest()
    fake.adapters[fake.champion] = b"other bytes"
    answers = obey(deployed, {"cmd": "refresh"}, {"cmd": "serve", "round": 0, "images": 1})
    assert "do not match the hash" in answers[0]["error"]
    assert answers[1]["adapter"] is None
    fake.adapters[fake.champion] = junk
    assert "no tar archive" in obey(deployed, {"cmd": "refresh"})[0]["error"]


def obey(deployed: Deployed, *commands: Any) -> list[dict[str, Any]]:
    text = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in commands)
    out = io.StringIO()
    deployed.run(io.StringIO(text), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("{", "no JSON"),
        ("[]", 'object with a text "cmd"'),
        ({"cmd": "dance"}, "no command is called 'dance'"),
        ({"cmd": "serve"}, "round: must be a whole number from 0 on"),
        ({"cmd": "serve", "round": 0, "images": 0}, "images: must be a whole number from 1 on"),
        ({"cmd": "serve", "round": True, "images": 1}, "round: must be a whole number"),
    ],
)
def test_a_bad_command_is_answered_and_the_next_one_works(deployed: Deployed, command: Any, reason: str) -> None:
    answers = obey(deployed, command, {"cmd": "serve", "round": 0, "images": 1}, {"cmd": "quit"}, "never read")
    assert len(answers) == 2
    assert reason in answers[0]["error"]
    assert answers[1]["asked"] > 0


def test_an_api_that_is_away_is_answered_not_fatal(fake: WholeApi, deployed: Deployed) -> None:
    fake.interfere = lambda method, path: (503, b"", {})
    assert "503" in obey(deployed, {"cmd": "refresh"})[0]["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--world", "nlvr"], "no data folder given"),
        (["--world", "nlvr", "--data", "/nonexistent"], "no folder /nonexistent"),
        (["--world", "scenes", "--model", "/nonexistent"], "no model in /nonexistent"),
    ],
)
def test_a_wrong_start_is_one_clear_line_and_code_2(arguments, words: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("NEARMISS_KEY", KEY)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    given = ["deployed", "--api", "http://127.0.0.1:1", "--model", str(MINIATURE), "--state", str(tmp_path), *arguments]
    assert main(given) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
