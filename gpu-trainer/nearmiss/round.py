"""One training round, from the claim to the verdict. It may be killed anywhere and started again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from .api import Api, ApiError, Lease, LeaseLost
from .batch import Prepared, gate_prompts, images_of, pairs_in, prepare
from .contract import ClaimedRound, CompleteRequest, GateLine, GateResult, PairLine, Phase
from .engine.adapters import Adapter, BadAdapter
from .engine.decode import greedy_answers
from .engine.model import Prompt, Vlm
from .engine.plan import make_plan
from .engine.training import CHECKPOINT_EVERY_STEPS, Diverged, Preempted, Scores, Trainer, score
from .gate import Answered, judge
from .heartbeat import Heartbeat
from .images import ImageStore
from .manifest import make_manifest
from .metrics import Measured, measure
from .outcome import counts_of, measurements, refusals, refusals_by_reason, rounded
from .progress import Progress, Stopwatch
from .recipe import BadConfiguration, recipe_of
from .state import State


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    model: Path
    trainer: str | None = None
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    recipe: Mapping[str, str] = field(default_factory=dict)
    """Overrides of the training policy, by field name."""
    now: bool = False
    """Whether the round is to start with as few pairs as there are."""


class NothingToTrain(Exception):
    """No round was claimed, or none of its pairs can be used. The message says why."""


def run_round(options: Options, api: Api, state: State, progress: Progress, stop: threading.Event) -> dict[str, Any]:
    """Runs one round and returns its summary, whatever the verdict. `stop` asks it to end at the next step.

    Raises `NothingToTrain`, `BadConfiguration`, `Preempted`, `LeaseLost`, `ApiError`.
    """
    if not (options.model / "config.json").is_file():
        raise BadConfiguration(f"no model in {options.model}: it has no config.json")
    answer = api.claim(options.trainer or state.trainer_name(), options.now)
    if answer.round is None:
        raise NothingToTrain(answer.reason or "the API gave no round and no reason")
    lease = Lease(answer.round)
    with Heartbeat(api, lease, stop) as heart:
        try:
            summary = _Round(options, api, state, progress, answer.round, lease, heart).run()
        except Preempted:
            heart.preempted()
            raise
        except LeaseLost:
            raise
        except BaseException as error:
            _release(api, lease, error)
            raise
    state.clear()
    return summary


def _release(api: Api, lease: Lease, error: BaseException) -> None:
    """Gives the pairs back at once, so that nobody waits for the lease to expire."""
    try:
        api.release(lease, f"{type(error).__name__}: {error}")
    except ApiError:
        return  # the lease then ends by itself


@dataclass
class _Round:
    """One claimed round at work."""

    options: Options
    api: Api
    state: State
    progress: Progress
    claimed: ClaimedRound
    lease: Lease
    heart: Heartbeat
    watch: Stopwatch = field(default_factory=Stopwatch)
    phase: tuple[Phase, int] = ("fetch", 0)

    def run(self) -> dict[str, Any]:
        self.recipe = recipe_of(self.claimed.policy.training, self.options.recipe)
        self.seed = _seed_of(self.options.seed, self.claimed)
        self.progress.note(f"round {self.claimed.id}: {self.claimed.batch.pairs} lines")
        self._enter("fetch", 0)
        pairs, items, images, bad_images = self._fetch()
        vlm = self._load(images)
        prepared = prepare(vlm, pairs, bad_images)
        self.api.report(self.lease, refusals(prepared.refused))
        if not prepared.groups:
            why = next(iter(prepared.refused.values()), "they are only to be scored")
            raise NothingToTrain(f"none of the {len(pairs)} pairs can be trained on: {why}")
        questions = gate_prompts(vlm, items, bad_images)
        plan = make_plan(
            prepared.groups,
            self.recipe.epochs,
            self.recipe.groups_per_step,
            self.seed,
            self.recipe.order,
            prepared.scored,
        )
        adapter = self._attach(vlm)

        self._enter("score", len(prepared.all) + len(questions))
        known = self.state.load_reference() if self.state.begin(self._identity(prepared)) else None
        before, answers_before = known or ({}, {})
        if not known:
            before = score(vlm, plan.scoring, self._on_step)
            answers_before = self._answers(vlm, questions, len(prepared.all))
            self.state.save_reference(before, answers_before)
        alarms = self._train(Trainer(vlm, adapter, plan, before, self.recipe))

        self._enter("rescore", len(prepared.all))
        after = score(vlm, plan.scoring, self._on_step)
        self._enter("gate", len(questions))
        answers = self._answers(vlm, questions, 0)
        judged = [
            Answered(item.task, item.answer, answers_before[item.id], answers[item.id])
            for item in items
            if item.id in answers
        ]
        measured = measure(before, after, pairs_in(prepared.groups))
        gate = judge(judged, measured.chosen_log_ratio, self.claimed.policy.gate, alarms)
        self._enter("upload", 0)
        self._report(before, after)
        images.prune()
        return self._complete(adapter, gate, measured, prepared, len(plan.steps))

    def _enter(self, phase: Phase, steps: int) -> None:
        self.watch.enter(phase)
        self.phase = (phase, steps)
        self.heart.at(phase, 0, steps)
        self.progress.phase(phase, steps)

    def _on_step(self, step: int, **measured: float) -> None:
        self.progress.step(step, **measured)
        phase, steps = self.phase
        self.heart.at(phase, step, steps)

    def _fetch(self) -> tuple[list[PairLine], list[GateLine], ImageStore, dict[str, str]]:
        pairs = list(self.api.pairs(self.lease))
        digest = sha256("\n".join(sorted(pair.id for pair in pairs)).encode()).hexdigest()
        if digest != self.claimed.batch.sha256:
            raise ApiError(f"round {self.claimed.id}: the {len(pairs)} pairs received are not the claimed batch")
        items = list(self.api.gate_items(self.lease))
        images = ImageStore(self.api, self.state.images)
        conversations = [line.conversation for line in pairs] + [line.conversation for line in items]
        wanted = {image for conversation in conversations for image in images_of(conversation)}
        self._enter("fetch", len(wanted))
        return pairs, items, images, images.fetch(sorted(wanted), self._on_step)

    def _load(self, images: ImageStore) -> Vlm:
        try:
            return Vlm.load(self.options.model, images.load, self.options.device, self.options.dtype)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise BadConfiguration(f"model {self.options.model} can not be loaded: {error}") from error

    def _attach(self, vlm: Vlm) -> Adapter:
        reference = self.claimed.reference
        try:
            archive = self.state.adapter(self.api, reference) if reference else None
            return Adapter.attach(vlm, self.recipe.lora_rank, self.seed, archive)
        except BadAdapter as error:
            raise BadConfiguration(f"the champion {reference} does not fit {self.options.model}: {error}") from error

    def _identity(self, prepared: Prepared) -> dict[str, Any]:
        """What has to be the same for the files of an earlier start to be gone on with."""
        return {
            "round": self.claimed.id,
            "batch": self.claimed.batch.sha256,
            "reference": self.claimed.reference,
            "recipe": self.recipe.model_dump(),
            "seed": self.options.seed,
            "model": str(self.options.model.resolve()),
            "used": sha256("\n".join(sorted(pairs_in(prepared.all))).encode()).hexdigest(),
        }

    def _answers(self, vlm: Vlm, questions: Mapping[str, Prompt], done_before: int) -> dict[str, str]:
        """The model's answers to the gate's questions, by item."""
        prompts: Sequence[Prompt] = list(questions.values())
        texts = greedy_answers(vlm, prompts, on_batch=lambda done: self._on_step(done_before + done))
        return dict(zip(questions, texts, strict=True))

    def _train(self, trainer: Trainer) -> list[str]:
        """Takes the steps, going on after those of an earlier start. Returns the alarms."""
        checkpoint = self.state.load_checkpoint()
        if checkpoint:
            trainer.load_state(checkpoint)
            self.progress.note(f"going on after step {trainer.done} of {len(trainer.plan.steps)}")
        self._enter("train", len(trainer.plan.steps))
        try:
            for result in trainer.steps():
                measured = asdict(result)
                step, steps = measured.pop("step"), measured.pop("steps")
                try:
                    self._on_step(step, **measured)
                except Preempted:
                    self.state.save_checkpoint(trainer.state())
                    raise
                if step % CHECKPOINT_EVERY_STEPS == 0 or step == steps:
                    self.state.save_checkpoint(trainer.state())
        except Diverged as error:
            return [f"training diverged: {error}"]
        return []

    def _report(self, before: Scores, after: Scores) -> None:
        answer = self.api.report(self.lease, measurements(before, after))
        if answer.unknown:
            raise ApiError(f"round {self.claimed.id}: the API does not know pairs it gave out: {answer.unknown[:3]}")

    def _complete(
        self, adapter: Adapter, gate: GateResult, measured: Measured, prepared: Prepared, steps: int
    ) -> dict[str, Any]:
        archive = adapter.archive()
        digest = self.api.upload_adapter(archive, self.lease)
        manifest = make_manifest(
            self.options.model, self.claimed, self.recipe, adapter.shape, self.options.dtype, archive
        )
        self.watch.enter(None)
        seconds, counts = rounded(self.watch.seconds), counts_of(prepared, steps)
        metrics = {**counts, **measured.finite(), **{f"{phase}Seconds": spent for phase, spent in seconds.items()}}
        request = CompleteRequest(adapter=digest, manifest=manifest, gate=gate, metrics=metrics)
        answer = self.api.complete(self.lease, request)
        return {
            "round": self.claimed.id,
            "resumed": self.claimed.resumed,
            **counts,
            "refusals": refusals_by_reason(prepared.refused),
            **measured.finite(),
            "gate": gate.model_dump(by_alias=True),
            "verdict": answer.verdict,
            "adapter": digest,
            "champion": answer.champion,
            "recipe": self.recipe.model_dump(by_alias=True),
            "seconds": seconds,
        }


def _seed_of(seed: int, claimed: ClaimedRound) -> int:
    """A seed of this very batch, so that rounds do not repeat each other's order."""
    return int(sha256(f"{seed}\n{claimed.batch.sha256}".encode()).hexdigest()[:8], 16)
