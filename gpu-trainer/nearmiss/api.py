"""The trainer's side of the HTTP contract: one method a route, typed results, retries where a retry can help."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, TypeVar

import httpx
from pydantic import ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from .contract import (
    FENCE_HEADER,
    LEASE_HEADER,
    NEXT_HEADER,
    PAIRS_PER_PAGE,
    REPORTS_PER_CHUNK,
    ChampionResponse,
    ClaimedRound,
    ClaimResponse,
    CompleteRequest,
    CompleteResponse,
    GateLine,
    HeartbeatResponse,
    PairLine,
    PairReport,
    Phase,
    ReportsResponse,
    Wire,
)

ATTEMPTS_MAX: Final = 6
RETRY_FIRST_S: Final = 0.5
RETRY_MAX_S: Final = 20.0
CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 60.0
RETRIED_STATUS: Final = frozenset({429, 500, 502, 503, 504})
ERROR_CHARS: Final = 300

M = TypeVar("M", bound=Wire)


class ApiError(Exception):
    """The API refused a request. `status` is HTTP's; `code` is the contract's, empty when it gave none."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unreachable(ApiError):
    """No usable answer after all retries."""

    retry_after_s: float | None = None


class LeaseLost(ApiError):
    """The round's lease is no longer this trainer's: nothing it does counts any more."""


class Api:
    """A connection to the API. Raises `ApiError` and its kinds; safe to use from several threads."""

    def __init__(
        self, base_url: str, key: str, attempts: int = ATTEMPTS_MAX, retry_first_s: float = RETRY_FIRST_S
    ) -> None:
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )
        self._attempts = attempts
        self._backoff = wait_exponential_jitter(multiplier=retry_first_s, max=RETRY_MAX_S, jitter=retry_first_s)

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def claim(self, trainer: str, demand: bool = False) -> ClaimResponse:
        """The next round, or an unfinished one of the same trainer; `round` is None when there is nothing to train.

        With `demand` it starts with as few pairs as there are; otherwise when the policy says that it is time.
        """
        return self._call(ClaimResponse, "POST", "/v1/rounds", json={"trainer": trainer, "demand": demand})

    def champion(self) -> ChampionResponse:
        return self._call(ChampionResponse, "GET", "/v1/adapters/champion")

    def image(self, image: str) -> bytes:
        """The bytes stored under a hash; not yet checked against it."""
        return self._send("GET", f"/v1/images/{image}").content

    def adapter(self, digest: str) -> bytes:
        """An adapter's archive, checked against its hash."""
        data = self._send("GET", f"/v1/adapters/{digest}").content
        if sha256(data).hexdigest() != digest:
            raise ApiError(f"adapter {digest[:12]}: the bytes received do not match the hash")
        return data

    def upload_adapter(self, archive: bytes, lease: Lease) -> str:
        """Stores an adapter under its hash, which is returned. Uploading it again changes nothing."""
        digest = sha256(archive).hexdigest()
        headers = {"content-type": "application/octet-stream", **lease.headers}
        self._send("PUT", f"/v1/adapters/{digest}", content=archive, headers=headers)
        return digest

    def pairs(self, lease: Lease) -> Iterator[PairLine]:
        """The round's batch, a page at a time."""
        return self._pages(PairLine, "pairs", lease)

    def gate_items(self, lease: Lease) -> Iterator[GateLine]:
        """The questions that judge the round, a page at a time."""
        return self._pages(GateLine, "gate", lease)

    def heartbeat(self, lease: Lease, phase: Phase, step: int, steps: int) -> HeartbeatResponse:
        """Keeps the lease for another full time. One attempt: the next beat is the retry."""
        body = {"phase": phase, "step": step, "steps": steps}
        return self._call(HeartbeatResponse, "POST", lease.path("heartbeat"), 1, json=body, headers=lease.headers)

    def report(self, lease: Lease, reports: Sequence[PairReport]) -> ReportsResponse:
        """Sends the reports in chunks; a chunk sent twice counts once."""
        stored = duplicate = 0
        unknown: list[str] = []
        for begin in range(0, len(reports), REPORTS_PER_CHUNK):
            chunk = reports[begin : begin + REPORTS_PER_CHUNK]
            body = {"reports": [report.model_dump(by_alias=True) for report in chunk]}
            answer = self._fenced(ReportsResponse, lease, "reports", json=body)
            stored += answer.stored
            duplicate += answer.duplicate
            unknown += answer.unknown
        return ReportsResponse(stored=stored, duplicate=duplicate, unknown=tuple(unknown))

    def complete(self, lease: Lease, request: CompleteRequest) -> CompleteResponse:
        return self._fenced(CompleteResponse, lease, "complete", json=request.model_dump(by_alias=True))

    def release(self, lease: Lease, reason: str) -> None:
        """Gives the round's pairs back."""
        self._send("POST", lease.path("release"), json={"reason": reason[:500]}, headers=lease.headers)

    def _fenced(self, kind: type[M], lease: Lease, verb: str, json: dict[str, Any]) -> M:
        return self._call(kind, "POST", lease.path(verb), json=json, headers=lease.headers)

    def _pages(self, kind: type[M], what: str, lease: Lease) -> Iterator[M]:
        after: str | None = None
        while True:
            query = {"limit": str(PAIRS_PER_PAGE)} | ({"after": after} if after else {})
            response = self._send("GET", lease.path(what), params=query, headers=lease.headers)
            yield from (_read(kind, line) for line in response.text.split("\n") if line.strip())
            following = response.headers.get(NEXT_HEADER)
            if not following:
                return
            if following == after:
                raise ApiError(f"{what}: the page after {after!r} names itself as the next one")
            after = following

    def _call(self, kind: type[M], method: str, path: str, attempts: int | None = None, **request: Any) -> M:
        return _read(kind, self._send(method, path, attempts, **request).text)

    def _send(self, method: str, path: str, attempts: int | None = None, **request: Any) -> httpx.Response:
        for attempt in Retrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_attempt(attempts or self._attempts),
            wait=self._wait,
            reraise=True,
        ):
            with attempt:
                return self._send_once(method, path, **request)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _send_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **request)
        except httpx.TransportError as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__} {error}".strip()) from None
        if response.is_success:
            return response
        message, code = _refusal(response)
        text = f"{method} {path}: {response.status_code} {message}"
        if response.status_code in RETRIED_STATUS:
            unreachable = Unreachable(text, response.status_code, code)
            unreachable.retry_after_s = _seconds(response.headers.get("retry-after"))
            raise unreachable
        fenced = LEASE_HEADER in (request.get("headers") or {})
        kind = LeaseLost if fenced and response.status_code == httpx.codes.CONFLICT else ApiError
        raise kind(text, response.status_code, code)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, Unreachable) else None
        return min(RETRY_MAX_S, max(self._backoff(state), asked or 0.0))


class Lease:
    """What every call on a claimed round carries."""

    def __init__(self, claimed: ClaimedRound) -> None:
        self.round_id = claimed.id
        self.id = claimed.lease.id
        self.ttl_s = claimed.lease.ttl_ms / 1000
        self.headers = {LEASE_HEADER: claimed.lease.id, FENCE_HEADER: str(claimed.lease.fence)}

    def path(self, what: str) -> str:
        return f"/v1/rounds/{self.round_id}/{what}"


def _read(kind: type[M], text: str) -> M:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ApiError(f"the API sent no valid {kind.__name__}: {where}: {first['msg']}") from None


def _refusal(response: httpx.Response) -> tuple[str, str]:
    """The message and the code of an error answer, whatever it looks like."""
    try:
        error = response.json()["error"]
        details = "; ".join(f"{one['path']}: {one['message']}" for one in error.get("details") or ())
        message = f"{error['message']}{f' ({details})' if details else ''}"
        return message[:ERROR_CHARS], str(error["code"])
    except (ValueError, KeyError, TypeError):
        return response.text[:ERROR_CHARS].replace("\n", " "), ""


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header or ""))
    except ValueError:
        return None


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000
