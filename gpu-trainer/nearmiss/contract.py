"""The HTTP contract, as the server's schemas state it: same names, same limits, camelCase on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

ADAPTER_BYTES: Final = 95_000_000
REPORTS_PER_CHUNK: Final = 500
PAIRS_PER_PAGE: Final = 500

LEASE_HEADER: Final = "nearmiss-lease"
FENCE_HEADER: Final = "nearmiss-fence"
NEXT_HEADER: Final = "nearmiss-next"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Role = Literal["system", "user", "assistant"]
Phase = Literal["fetch", "score", "train", "rescore", "gate", "upload", "preempted"]
Verdict = Literal["promoted", "rejected", "inconclusive"]
Guard = Literal["held", "fell", "too small to say"]
Order = Literal["shuffled", "easy-to-hard"]


class Wire(BaseModel):
    """Base of all messages: immutable, snake_case here, camelCase on the wire; unknown fields are passed over."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)

    def wire(self) -> str:
        """The JSON text as sent."""
        return self.model_dump_json(by_alias=True)


class TextPart(Wire):
    type: Literal["text"] = "text"
    text: str


class ImagePart(Wire):
    type: Literal["image"] = "image"
    sha256: Sha256


class VideoFrame(Wire):
    sha256: Sha256
    time_ms: int = Field(ge=0)


class VideoPart(Wire):
    type: Literal["video"] = "video"
    frames: tuple[VideoFrame, ...] = Field(min_length=1)


ContentPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _frames_as_images(content: Any) -> Any:
    """The models see images, so a video is its frames in order, each an image."""
    if not isinstance(content, list):
        return content
    parts: list[Any] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "video":
            parts += [ImagePart(sha256=frame.sha256) for frame in VideoPart.model_validate(part).frames]
        else:
            parts.append(part)
    return parts


class Turn(Wire):
    role: Role
    content: Annotated[tuple[ContentPart, ...], BeforeValidator(_frames_as_images)]


Conversation = tuple[Turn, ...]


class TrainingPolicy(Wire):
    """What a round does with its batch."""

    objective: str = "dpo"
    beta: float = Field(default=0.5, gt=0, le=10)
    anchor: float = Field(default=1.0, ge=0, le=100)
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    lora_rank: int = Field(default=16, ge=1, le=512)
    epochs: float = Field(default=2.0, gt=0, le=100)
    groups_per_step: int = Field(default=16, ge=1, le=4096)
    warmup_share: float = Field(default=0.1, ge=0, le=1)
    order: Order = "shuffled"


class GatePolicy(Wire):
    """When a candidate replaces the champion."""

    max_items: int = Field(default=3000, ge=1)
    min_items: int = Field(default=100, ge=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    guard_epsilon: float = Field(default=0.03, ge=0, le=1)
    guard_min_items: int = Field(default=40, ge=1)
    yes_rate_drift: float = Field(default=0.1, ge=0, le=1)
    chosen_log_ratio_alarm: float = Field(default=-0.5, le=0)


class Lease(Wire):
    id: str
    fence: int
    expires_at: int
    ttl_ms: int


class Batch(Wire):
    pairs: int
    sha256: Sha256


class RoundPolicy(Wire):
    version: int
    training: TrainingPolicy
    gate: GatePolicy


class ClaimedRound(Wire):
    id: str
    resumed: bool
    lease: Lease
    reference: Sha256 | None
    batch: Batch
    policy: RoundPolicy


class ClaimResponse(Wire):
    round: ClaimedRound | None
    reason: str | None = None


class PairLine(Wire):
    id: str
    group: str
    region: str
    task: str
    error_type: str
    level: int
    origin: str
    conversation: Conversation
    chosen: str
    rejected: str
    use: Literal["train", "score"]
    """Score: measured before and after, never trained on."""
    predicted: float = Field(ge=0, le=1)
    """Predicted accuracy of the deployed model on it."""


class GateLine(Wire):
    id: str
    task: str
    region: str
    conversation: Conversation
    answer: str


class HeartbeatResponse(Wire):
    expires_at: int


class ScoredPair(Wire):
    """Log-probabilities in nats, summed over the answer's tokens; before: under the reference, after: when trained."""

    pair_id: str
    chosen_before: float
    rejected_before: float
    chosen_after: float
    rejected_after: float
    chosen_tokens: int = Field(ge=1)
    rejected_tokens: int = Field(ge=1)


class RefusedPair(Wire):
    pair_id: str
    refused: str = Field(min_length=1, max_length=500)


PairReport = ScoredPair | RefusedPair


class ReportsResponse(Wire):
    stored: int
    duplicate: int
    unknown: tuple[str, ...]


class GateSlice(Wire):
    """Paired counts of one slice, candidate against reference; bounds of the change of accuracy, one-sided each."""

    name: str
    n: int
    right_before: int
    right_after: int
    fixed: int
    broken: int
    lower: float | None
    upper: float | None
    guard: Guard


class YesRate(Wire):
    n: int
    before: float | None
    after: float | None
    truth: float | None


class GateResult(Wire):
    verdict: Verdict
    reasons: tuple[str, ...]
    all: GateSlice
    slices: tuple[GateSlice, ...]
    yes_rate: YesRate
    alarms: tuple[str, ...]


class Base(Wire):
    model: str
    sha256: Sha256


class LoraShape(Wire):
    r: int
    alpha: float
    targets: tuple[str, ...]


class AdapterManifest(Wire):
    base: Base
    processor_sha256: Sha256
    lora: LoraShape
    dtype: str
    parent: Sha256 | None
    lease: str
    batch_sha256: Sha256
    objective: str
    files: dict[str, Sha256]


class CompleteRequest(Wire):
    adapter: Sha256 | None
    manifest: AdapterManifest | None
    gate: GateResult
    metrics: dict[str, float]


class CompleteResponse(Wire):
    verdict: Verdict
    champion: Sha256 | None


class ChampionResponse(Wire):
    adapter: Sha256 | None
    previous: Sha256 | None
    round_id: str | None
    updated_at: int
