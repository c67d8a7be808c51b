"""Whole rounds over real HTTP: real training, real kills, and what the server is left with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from batches import gate_of, images_of, pairs_of, scenes, sentinels_of
from fake_api import KEY, FakeApi, policy, serving
from nearmiss.api import Api, ApiError, LeaseLost
from nearmiss.contract import RefusedPair, ScoredPair
from nearmiss.engine.training import Preempted, Trainer
from nearmiss.miniature.model import Miniature
from nearmiss.recipe import BadConfiguration, parse_overrides
from nearmiss.round import NothingToTrain, Options, run_round
from nearmiss.state import State, StateError
from nearmiss.worlds import Example
from tiny import make_vlm

ROOT = Path(__file__).parent.parent
MINIATURE = ROOT / "miniature"
GROUPS = 24
STEPS = 6
WAIT_S = 60.0


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the miniature's make, saved."""
    folder = tmp_path_factory.mktemp("model")
    vlm = make_vlm(scale=2.0)
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def world():
    return scenes(0, 8), scenes(1, 4)


@pytest.fixture
def fake(world) -> Iterator[FakeApi]:
    trained, judged = world
    api = FakeApi(pairs_of(trained, GROUPS, 2), gate_of(judged, 20), images_of(trained, judged))
    api.training = policy(groups_per_step=GROUPS // STEPS, lora_rank=4)
    with serving(api):
        yield api


class Recorder:
    """Progress, kept."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, dict[str, float]]] = []
        self.notes: list[str] = []
        self._phase = ""

    def phase(self, name: str, steps: int) -> None:
        self._phase = name

    def step(self, step: int, **measured: float) -> None:
        self.lines.append((self._phase, step, measured))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, summary: dict[str, Any]) -> None:
        """Not called by the round itself."""

    def trained_steps(self) -> list[int]:
        return [step for phase, step, _ in self.lines if phase == "train"]


def run(
    fake: FakeApi, model: Path, state: Path, progress: Any = None, stop: Any = None, **options: Any
) -> dict[str, Any]:
    with Api(fake.url, KEY, attempts=3, retry_first_s=0.01) as api:
        chosen = Options(model=model, **options)
        return run_round(chosen, api, State(state), progress or Recorder(), stop or threading.Event())


def test_a_round_reports_every_pair_and_registers_its_adapter(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    progress = Recorder()
    summary = run(fake, model, tmp_path, progress)
    assert set(fake.reports) == set(fake.pairs)
    for report in fake.reports.values():
        assert isinstance(report, ScoredPair)
        assert report.chosen_before < 0
        assert report.rejected_before < 0
    (completed,) = fake.completed
    assert completed.adapter in fake.adapters
    assert completed.manifest is not None
    assert completed.manifest.batch_sha256 == fake.batch_sha256
    assert completed.manifest.lora.r == 4
    assert completed.gate.all.n == 20
    assert completed.metrics["pairs"] == len(fake.pairs)
    assert (summary["groups"], summary["pairs"], summary["refused"], summary["steps"]) == (
        GROUPS,
        len(fake.pairs),
        0,
        STEPS,
    )
    assert summary["verdict"] == "inconclusive", "20 items are too few to judge"
    assert set(summary["seconds"]) == {"fetch", "score", "train", "rescore", "gate", "upload"}
    assert progress.trained_steps() == list(range(1, STEPS + 1))
    first = next(measured for phase, step, measured in progress.lines if phase == "train" and step == 1)
    assert first["margin"] == 0.0
    assert not (tmp_path / "round").exists()
    assert not fake.released


def test_the_next_round_starts_from_the_champion(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    first = run(fake, model, tmp_path / "a")
    after = {pair: report.chosen_after for pair, report in fake.reports.items() if isinstance(report, ScoredPair)}
    fake.champion = first["adapter"]
    fake.reports.clear()
    progress = Recorder()
    second = run(fake, model, tmp_path / "b", progress, recipe={"lora_rank": "8"})
    assert next(measured["margin"] for phase, step, measured in progress.lines if phase == "train") == 0.0
    for pair, report in fake.reports.items():
        assert isinstance(report, ScoredPair)
        assert report.chosen_before == pytest.approx(after[pair], abs=1e-3)
    assert fake.completed[-1].manifest is not None
    assert fake.completed[-1].manifest.parent == first["adapter"]
    assert fake.completed[-1].manifest.lora.r == 8
    assert second["adapter"] != first["adapter"]


def test_the_same_round_twice_gives_the_same_adapter(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    first = run(fake, model, tmp_path / "a")["adapter"]
    assert run(fake, model, tmp_path / "b")["adapter"] == first
    assert run(fake, model, tmp_path / "c", seed=1)["adapter"] != first


def test_what_is_only_scored_is_reported_and_trains_nothing(
    fake: FakeApi, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentinels, their swapped twins and mastered pairs are reported; they do not change the adapter."""
    monkeypatch.setattr("nearmiss.round._seed_of", lambda *_: 7)
    known, mastered = sorted(fake.pairs.values(), key=lambda pair: pair.id)[:4], sorted(fake.pairs)[4:9]
    trained = {name: pair for name, pair in fake.pairs.items() if name not in mastered}
    scored = [fake.pairs[name].model_copy(update={"use": "score"}) for name in mastered]
    fake.pairs = trained | {pair.id: pair for pair in (*scored, *sentinels_of(known))}
    summary = run(fake, model, tmp_path / "a")
    assert set(fake.reports) == set(fake.pairs)
    assert (summary["pairs"], summary["scored"]) == (len(trained), len(mastered) + 2 * len(known))
    for pair in known:
        plain, twin = fake.reports[f"sentinel:{pair.id}"], fake.reports[f"sentinel:{pair.id}:swapped"]
        assert isinstance(plain, ScoredPair)
        assert isinstance(twin, ScoredPair)
        for ours, mirrored in (
            (twin.chosen_before, plain.rejected_before),
            (twin.rejected_before, plain.chosen_before),
            (twin.chosen_after, plain.rejected_after),
            (twin.rejected_after, plain.chosen_after),
        ):
            assert ours == pytest.approx(mirrored, abs=1e-3)

    fake.pairs = trained
    fake.reports.clear()
    alone = run(fake, model, tmp_path / "b")
    assert alone["scored"] == 0
    assert alone["adapter"] == summary["adapter"]
    assert alone["chosenLogRatio"] == summary["chosenLogRatio"]


def test_pairs_that_are_only_scored_make_no_round(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    fake.pairs = {name: pair.model_copy(update={"use": "score"}) for name, pair in fake.pairs.items()}
    with pytest.raises(NothingToTrain, match="only to be scored"):
        run(fake, model, tmp_path)
    assert len(fake.released) == 1


def test_bad_pairs_are_refused_with_reasons_and_the_round_goes_on(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    bad = sorted(fake.pairs)[:3]
    edits = ({"rejected": " "}, {"rejected": "There are purplish ones."}, {"rejected": fake.pairs[bad[2]].chosen})
    for pair, edit in zip(bad, edits, strict=True):
        fake.pairs[pair] = fake.pairs[pair].model_copy(update=edit)
    conversation = next(pair.conversation for name, pair in fake.pairs.items() if name not in bad)
    image = next(part.sha256 for part in conversation[0].content if part.type == "image")
    del fake.images[image]
    summary = run(fake, model, tmp_path)
    refused = {pair: report.refused for pair, report in fake.reports.items() if isinstance(report, RefusedPair)}
    assert set(bad) <= set(refused)
    assert sum(f"image {image[:12]} is missing" in reason for reason in refused.values()) > 1
    assert set(fake.reports) == set(fake.pairs)
    assert summary["refused"] == len(refused)
    assert summary["pairs"] == len(fake.pairs) - len(refused)
    assert sum(summary["refusals"].values()) == len(refused)


def test_a_batch_without_one_usable_pair_is_given_back(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    fake.pairs = {name: pair.model_copy(update={"rejected": pair.chosen}) for name, pair in fake.pairs.items()}
    with pytest.raises(NothingToTrain, match="same answer"):
        run(fake, model, tmp_path)
    assert len(fake.reports) == len(fake.pairs)
    assert len(fake.released) == 1
    assert not fake.completed


def test_pairs_that_are_not_the_claimed_batch_are_not_trained(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    def lose_one(method: str, path: str) -> None:
        if path.endswith("/pairs"):
            fake.pairs.pop(sorted(fake.pairs)[0], None)

    fake.interfere = lose_one
    with pytest.raises(ApiError, match="not the claimed batch"):
        run(fake, model, tmp_path)
    assert len(fake.released) == 1


class StopAt(Recorder):
    """Does something after a training step."""

    def __init__(self, step: int, act: Any) -> None:
        super().__init__()
        self._step, self._act = step, act

    def step(self, step: int, **measured: float) -> None:
        super().step(step, **measured)
        if self._phase == "train" and step == self._step:
            self._act()


def test_asked_to_stop_it_ends_after_the_step_and_later_goes_on(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    undisturbed = run(fake, model, tmp_path / "whole")
    fake.reports.clear()
    stop = threading.Event()
    with pytest.raises(Preempted):
        run(fake, model, tmp_path / "cut", StopAt(2, stop.set), stop)
    assert fake.heartbeats[-1] == {"phase": "preempted", "step": 2, "steps": STEPS}
    assert not fake.released
    rounds = fake.rounds

    progress = Recorder()
    summary = run(fake, model, tmp_path / "cut", progress)
    assert progress.trained_steps() == [3, 4, 5, 6], "no step is taken twice"
    assert f"going on after step 2 of {STEPS}" in progress.notes
    assert summary["resumed"]
    assert fake.rounds == rounds
    assert summary["adapter"] == undisturbed["adapter"], "bit for bit what an undisturbed round gives"


def test_from_easy_to_hard_a_cut_round_goes_on_in_the_same_order(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    fake.training = policy(groups_per_step=GROUPS // STEPS, lora_rank=4, order="easy-to-hard")
    undisturbed = run(fake, model, tmp_path / "whole")
    assert undisturbed["recipe"]["order"] == "easy-to-hard"
    fake.reports.clear()
    stop = threading.Event()
    with pytest.raises(Preempted):
        run(fake, model, tmp_path / "cut", StopAt(3, stop.set), stop)
    assert run(fake, model, tmp_path / "cut")["adapter"] == undisturbed["adapter"]
    fake.training = policy(groups_per_step=GROUPS // STEPS, lora_rank=4)
    fake.reports.clear()
    assert run(fake, model, tmp_path / "shuffled")["adapter"] != undisturbed["adapter"]


def test_a_lost_lease_ends_the_round_and_changes_nothing(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    fake.ttl_s = 0.4

    def take_over() -> None:
        fake.fence += 1
        time.sleep(0.5)

    with pytest.raises(LeaseLost):
        run(fake, model, tmp_path, StopAt(1, take_over))
    assert not fake.reports
    assert not fake.completed
    assert not fake.released
    assert not fake.adapters


def test_a_round_claimed_anew_starts_anew(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(Preempted):
        run(fake, model, tmp_path, StopAt(2, stop.set), stop)
    fake.expires_at = 0
    fake.reports.clear()
    progress = Recorder()
    summary = run(fake, model, tmp_path, progress)
    assert (summary["round"], summary["resumed"]) == ("round-2", False)
    assert progress.trained_steps() == list(range(1, STEPS + 1))


def test_heartbeats_keep_a_short_lease_alive(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    fake.ttl_s = 0.6
    run(fake, model, tmp_path, StopAt(1, lambda: time.sleep(1.5)))
    assert len(fake.completed) == 1
    assert [beat["step"] for beat in fake.heartbeats if beat["phase"] == "train"]


def test_a_flaky_api_costs_time_and_nothing_else(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    seen: set[str] = set()

    def fail_first(method: str, path: str) -> tuple[int, bytes, dict[str, str]] | None:
        """Every request fails once before it works."""
        key = f"{method} {path}"
        fresh = key not in seen
        seen.add(key)
        return (503, b"", {}) if fresh else None

    fake.interfere = fail_first
    run(fake, model, tmp_path)
    assert len(fake.completed) == 1
    assert set(fake.reports) == set(fake.pairs)


def test_an_unexpected_end_gives_the_pairs_back(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    def burn() -> None:
        raise MemoryError("no memory")

    with pytest.raises(MemoryError):
        run(fake, model, tmp_path, StopAt(1, burn))
    assert fake.released == ["MemoryError: no memory"]


def test_a_champion_that_does_not_fit_is_said_so(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    from hashlib import sha256

    fake.adapters[sha256(b"junk").hexdigest()] = b"junk"
    fake.champion = sha256(b"junk").hexdigest()
    with pytest.raises(BadConfiguration, match="does not fit"):
        run(fake, model, tmp_path)
    assert len(fake.released) == 1


def test_training_that_diverges_is_rejected_not_crashed(
    fake: FakeApi, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Trainer._backward

    def diverge(self: Trainer, step: Any) -> dict[str, float]:
        measured = backward(self, step)
        return {**measured, "loss": float("nan")} if self.done == 2 else measured

    monkeypatch.setattr(Trainer, "_backward", diverge)
    summary = run(fake, model, tmp_path)
    assert summary["verdict"] == "rejected"
    assert "diverged: step 3" in summary["gate"]["alarms"][0]
    assert set(fake.reports) == set(fake.pairs)


def test_one_round_at_a_time_on_a_state_folder(tmp_path: Path) -> None:
    with State(tmp_path).locked(), pytest.raises(StateError, match="another round"), State(tmp_path).locked():
        pass


def own_answers(examples: list[Example]) -> dict[tuple[str, str], str]:
    """What the miniature says, by image and question."""
    said = Miniature.load(MINIATURE).answer(
        [example.png for example in examples], [[item.question for item in example.items] for example in examples]
    )
    return {
        (example.image_sha256, item.question): text
        for example, texts in zip(examples, said, strict=True)
        for item, text in zip(example.items, texts, strict=True)
    }


def test_a_planted_bad_round_is_rejected_although_its_pairs_look_better(tmp_path: Path) -> None:
    """Learning rate 3e-3 without an anchor, on the miniature and its own mistakes: margins rise, answers break."""
    trained, judged = scenes(0, 20), scenes(1, 28)
    own = own_answers(trained)
    pairs = pairs_of(trained, 160, 2, own=lambda item: own[item.image_sha256, item.question])
    fake = FakeApi(pairs, gate_of(judged, 300), images_of(trained, judged))
    fake.training = policy(groups_per_step=8)
    with serving(fake):
        bad = run(fake, MINIATURE, tmp_path, recipe=parse_overrides(["learningRate=3e-3", "anchor=0", "epochs=3"]))
    assert bad["marginAfter"] > bad["marginBefore"] + 1
    assert bad["rewardAccuracyAfter"] > bad["rewardAccuracyBefore"]
    assert bad["verdict"] == "rejected"
    assert bad["gate"]["all"]["broken"] > bad["gate"]["all"]["fixed"]
    assert fake.champion is None


def test_a_good_round_is_promoted(tmp_path: Path) -> None:
    """Judged on the very questions it was trained on, the miniature can not but get better."""
    trained = scenes(0, 10)
    fake = FakeApi(pairs_of(trained, 120, 1), gate_of(trained, 120), images_of(trained))
    fake.training = policy(learning_rate=2e-3, epochs=2, groups_per_step=8)
    with serving(fake):
        summary = run(fake, MINIATURE, tmp_path)
    assert summary["verdict"] == "promoted", summary["gate"]["reasons"]
    assert summary["champion"] == summary["adapter"] == fake.champion
    assert summary["gate"]["all"]["fixed"] > summary["gate"]["all"]["broken"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("lr=1", "must be KEY=VALUE with a key of objective, beta"),
        ("beta", "must be KEY=VALUE"),
        ("beta=zero", "recipe beta: Input should be a valid number"),
        ("learningRate=7", "recipe learningRate: Input should be less than or equal to 1"),
        ("objective=ppo", "must be one of dpo, sft"),
    ],
)
def test_overrides_of_the_recipe_are_checked(given: str, reason: str) -> None:
    with pytest.raises(BadConfiguration, match=reason):
        parse_overrides([given])


def test_overrides_are_read_in_both_spellings() -> None:
    assert parse_overrides(["learningRate=1e-3", "groups_per_step=8"]) == {
        "learning_rate": "1e-3",
        "groups_per_step": "8",
    }


def command(fake_url: str, model: Path, state: Path, *more: str, key: str = KEY) -> subprocess.Popen[str]:
    arguments = ["round", "--api", fake_url, "--model", str(model), "--state", str(state), "--json", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NEARMISS_KEY": key}
    return subprocess.Popen(
        [sys.executable, "-m", "nearmiss", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until_step(process: subprocess.Popen[str], step: int) -> list[dict[str, Any]]:
    """The lines of a running round up to a training step."""
    lines: list[dict[str, Any]] = []
    assert process.stdout is not None
    for text in process.stdout:
        lines.append(json.loads(text))
        if lines[-1].get("phase") == "train" and lines[-1]["step"] >= step:
            return lines
    raise AssertionError(f"the round ended before step {step}: {process.stderr and process.stderr.read()}")


def test_killed_in_mid_round_it_goes_on_from_its_checkpoint(fake: FakeApi, model: Path, tmp_path: Path) -> None:
    """SIGKILL, then SIGTERM, then to the end: one round, no step of the result taken twice, the undisturbed adapter."""
    fake.training = policy(groups_per_step=1, lora_rank=4)
    undisturbed = run(fake, model, tmp_path / "whole")
    fake.reports.clear()
    steps = undisturbed["steps"]
    assert steps == GROUPS

    killed = command(fake.url, model, tmp_path / "cut")
    read_until_step(killed, 12)
    killed.send_signal(signal.SIGKILL)
    killed.wait(WAIT_S)

    stopped = command(fake.url, model, tmp_path / "cut")
    lines = read_until_step(stopped, 13)
    stopped.send_signal(signal.SIGTERM)
    output, errors = stopped.communicate(timeout=WAIT_S)
    assert stopped.returncode == 5, errors
    assert [line["note"] for line in lines if "note" in line][1:] in (
        [f"going on after step {done} of {steps}"] for done in (10, 20)
    )
    taken = [json.loads(line)["step"] for line in output.splitlines()]
    preempted_at = max([13, *taken])
    assert fake.heartbeats[-1] == {"phase": "preempted", "step": preempted_at, "steps": steps}

    last = command(fake.url, model, tmp_path / "cut")
    output, errors = last.communicate(timeout=WAIT_S)
    assert last.returncode == 0, errors
    parsed = [json.loads(line) for line in output.splitlines()]
    done = [line["step"] for line in parsed if line.get("phase") == "train" and line["step"] > 0]
    assert done == list(range(preempted_at + 1, steps + 1))
    summary = parsed[-1]["summary"]
    assert summary["resumed"]
    assert summary["adapter"] == undisturbed["adapter"]
    assert fake.rounds == 2, "the undisturbed one and this one"
    assert set(fake.reports) == set(fake.pairs)


@pytest.mark.parametrize(
    ("arguments", "key", "code", "words"),
    [
        (["--api", "ftp://x", "--model", "m", "--state", "s"], KEY, 2, "no http or https address"),
        (["--api", "http://x", "--model", "m"], KEY, 2, "--state"),
        (["--api", "http://x", "--model", "m", "--state", "s"], "", 2, "no key: set NEARMISS_KEY"),
        (["--api", "http://x", "--model", "m", "--state", "s", "--threads", "0"], KEY, 2, "no whole number from 1"),
    ],
)
def test_a_wrong_start_is_one_clear_line_and_code_2(arguments, key: str, code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nearmiss", "round", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NEARMISS_KEY": key},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def main_in(tmp_path: Path, url: str, model: Path, monkeypatch: pytest.MonkeyPatch, *more: str, key: str = KEY) -> int:
    from nearmiss.__main__ import main

    monkeypatch.setenv("NEARMISS_KEY", key)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    threads = torch.get_num_threads()
    try:
        return main(["round", "--api", url, "--model", str(model), "--state", str(tmp_path / "s"), "--json", *more])
    finally:
        torch.set_num_threads(threads)


def test_exit_codes_and_their_lines(fake: FakeApi, model: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def code(*more: str, model: Path = model, url: str = fake.url, key: str = KEY) -> tuple[int, str]:
        result = main_in(tmp_path, url, model, monkeypatch, *more, key=key)
        captured = capsys.readouterr()
        assert captured.err.count("\n") <= 1
        return result, captured.err + captured.out

    assert code("--recipe", "lr=1")[0] == 2
    number, words = code(model=tmp_path / "nowhere")
    assert (number, "no model in" in words) == (2, True)
    number, words = code(key="nm_wrong")
    assert (number, "401" in words, "nm_wrong" in words) == (2, True, False)
    (tmp_path / "file").touch()
    assert main_in(tmp_path / "file", fake.url, model, monkeypatch) == 2
    assert "state folder" in capsys.readouterr().err
    fake.pairs = {}
    number, words = code()
    assert (number, "a round needs 300" in words) == (3, True)
    assert fake.demands[-1] is False
    assert json.loads(words.splitlines()[-1])["summary"]["reason"] == "0 pairs are ready, a round needs 300."
    assert code("--now")[0] == 3
    assert fake.demands[-1] is True
