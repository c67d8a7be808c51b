"""Reports what a model served through OpenAI's API answered, from the place where it is asked.

    client = wrap(OpenAI(), reporter)
    response = client.chat.completions.create(model="m", messages=[...])
    report_of(response).report(rating="down", correction="Two dogs.")

Requests, responses and streams pass through untouched, and no error of the reporting reaches the host. Nothing is
reported until `report()` is called; what it needs is kept as long as the response itself. Covered are, of synchronous
and asynchronous clients, `chat.completions.create`, with and without `stream=True`, `.parse` and `.stream`.
"""

from __future__ import annotations

import functools
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeVar

from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream
from openai.types.chat import ChatCompletion

from .client import Reporter
from .reporting.chat import Resolver, conversation_of, decoding_of, field_of
from .reporting.courier import reason_of
from .reporting.events import BadEvent

C = TypeVar("C", OpenAI, AsyncOpenAI)
Adapter = str | Callable[[], str | None] | None

log = logging.getLogger("nearmiss.client")


class Report:
    """What there is to say of one response."""

    def __init__(self, reporter: Reporter | None, event: dict[str, Any], problem: str | None) -> None:
        """`problem` says why nothing can be reported."""
        self._reporter, self._event, self._problem = reporter, event, problem
        self._texts: dict[int, list[str]] = {}
        self._response_id: str | None = None

    def report(
        self,
        *,
        correction: str | None = None,
        reference: str | None = None,
        rating: Literal["up", "down"] | None = None,
        reward: float | None = None,
        reason: str | None = None,
        task: str | None = None,
        error_type: str | None = None,
        language: str | None = None,
        tags: Mapping[str, str] | None = None,
        choice: int = 0,
        sample_key: str | None = None,
    ) -> bool:
        """Reports the response, of a stream what has arrived of it. True if the reporter took it. Never raises.

        All reports on one response have one `sample_key`, its id, unless told otherwise.
        """
        said = {
            "correction": correction,
            "reference": reference,
            "rating": rating,
            "reward": reward,
            "reason": reason,
            "task": task,
            "errorType": error_type,
            "language": language,
            "tags": tags,
        }
        if self._reporter is None:
            log.warning("reporting: a response that did not come through a wrapped client")
            return False
        try:
            event = {**self._event, "response": self._response(choice)}
        except BadEvent as error:
            self._reporter.not_reported(reason_of(error))
            return False
        event |= {name: value for name, value in said.items() if value is not None}
        return self._reporter.report(event, sample_key=sample_key or self._response_id)

    def _response(self, choice: int) -> str:
        """Raises `BadEvent`."""
        if self._problem:
            raise BadEvent(self._problem)
        text = "".join(self._texts.get(choice, ()))
        if not text:
            raise BadEvent("a response without text")
        return text

    def hear(self, answer: object, part: Literal["message", "delta"]) -> None:
        """Keeps the text of a response, or of a stream's next chunk. Never raises."""
        try:
            self._response_id = field_of(answer, "id") or self._response_id
            for choice in field_of(answer, "choices") or ():
                said = field_of(choice, part)
                text = field_of(said, "content") or field_of(said, "refusal")
                if text:
                    self._texts.setdefault(choice.index, []).append(text)
        except Exception as error:  # the host must not suffer
            self._problem = f"a response that can not be read: {type(error).__name__}"


_reports: Final[dict[int, tuple[weakref.ref[Any], Report]]] = {}
"""By the response's id(), as long as the response lives. Responses can not be hashed."""


def wrap(
    client: C,
    reporter: Reporter,
    *,
    model: str | None = None,
    adapter: Adapter = None,
    resolver: Resolver | None = None,
) -> C:
    """A client that does what `client` does, over the same connections, and whose responses `report_of` knows.

    `model` names the model in events, instead of the request; `adapter` is the hash of the adapter that answers, or a
    function that tells it for each request. `resolver` brings the bytes of images behind links, on the reporter's
    thread; without it nothing is fetched, and a response to such an image can not be reported.
    """
    wrapped = client.copy()
    completions = wrapped.chat.completions

    def asked(request: Mapping[str, Any]) -> Report:
        try:
            event = {
                "occurredAt": time.time_ns() // 1_000_000,
                "model": model or request.get("model"),
                "adapter": adapter() if callable(adapter) else adapter,
                "conversation": conversation_of(request.get("messages"), resolver),
                "decoding": decoding_of(request),
            }
            return Report(reporter, event, None)
        except Exception as error:  # the host must not suffer
            return Report(reporter, {}, reason_of(error))

    def watching(ask: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(ask)
        def call(*args: Any, **request: Any) -> Any:
            report = asked(request)
            response = ask(*args, **request)
            _watch(response, report)
            return response

        @functools.wraps(ask)
        async def call_async(*args: Any, **request: Any) -> Any:
            report = asked(request)
            response = await ask(*args, **request)
            _watch(response, report)
            return response

        return call_async if isinstance(client, AsyncOpenAI) else call

    def copy(**options: Any) -> C:
        return wrap(type(wrapped).copy(wrapped, **options), reporter, model=model, adapter=adapter, resolver=resolver)

    vars(completions).update(create=watching(completions.create), parse=watching(completions.parse))
    vars(wrapped).update(copy=copy, with_options=copy)
    return wrapped


def report_of(response: object) -> Report:
    """The report of a response, or stream, that a wrapped client returned. Never raises."""
    for one in (response, getattr(response, "_raw_stream", None)):  # what `.stream()` gives stands on a plain stream
        known = _reports.get(id(one))
        if known and known[0]() is one:
            return known[1]
    return Report(None, {}, None)


def _watch(response: Any, report: Report) -> None:
    """Has the report hear the response, now or as it streams. Never raises."""
    try:
        if isinstance(response, ChatCompletion):
            report.hear(response, "message")
        elif isinstance(response, Stream):
            response._iterator = _Tap(response._iterator, report)
        elif isinstance(response, AsyncStream):
            response._iterator = _AsyncTap(response._iterator, report)
        else:
            return
        key = id(response)
        _reports[key] = (weakref.ref(response, lambda _: _reports.pop(key, None)), report)
    except Exception as error:  # the host must not suffer
        log.warning("reporting: a response can not be watched: %s", type(error).__name__)


class _Tap(Iterator[Any]):
    """The stream's chunks as they are, heard in passing."""

    def __init__(self, chunks: Iterator[Any], report: Report) -> None:
        self._chunks, self._report = chunks, report

    def __next__(self) -> Any:
        chunk = next(self._chunks)
        self._report.hear(chunk, "delta")
        return chunk


class _AsyncTap(AsyncIterator[Any]):
    """As `_Tap`."""

    def __init__(self, chunks: AsyncIterator[Any], report: Report) -> None:
        self._chunks, self._report = chunks, report

    async def __anext__(self) -> Any:
        chunk = await anext(self._chunks)
        self._report.hear(chunk, "delta")
        return chunk
