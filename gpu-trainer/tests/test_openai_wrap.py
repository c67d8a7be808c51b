"""The wrapper around the real `openai` package, against a local server that speaks its protocol."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, AsyncStream, OpenAI, OpenAIError, Stream
from openai.types.chat import ChatCompletion

from client_support import FLUSH_S, NOWHERE, reporting
from fake_chat import ANSWER, LINK, MESSAGES, PIECES, PNG, Model, image, modelling, text, user
from fake_intake import Intake, serving
from nearmiss import openai_wrap
from nearmiss.client import Reporter
from nearmiss.openai_wrap import report_of, wrap


@pytest.fixture
def model() -> Iterator[Model]:
    with modelling() as one:
        yield one


@pytest.fixture
def intake() -> Iterator[Intake]:
    with serving(Intake()) as one:
        yield one


@pytest.fixture
def reporter(intake: Intake) -> Iterator[Reporter]:
    with reporting(intake.url) as one:
        yield one


@pytest.fixture
def plain(model: Model) -> Iterator[OpenAI]:
    with OpenAI(api_key="sk-secret", base_url=model.url, max_retries=0) as one:
        yield one


CONVERSATION = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {
        "role": "user",
        "content": [{"type": "image", "sha256": sha256(PNG).hexdigest()}, {"type": "text", "text": "How many dogs?"}],
    },
]


def sent(reporter: Reporter, intake: Intake) -> list[dict[str, Any]]:
    assert reporter.flush(FLUSH_S)
    return list(intake.events.values())


def test_a_response_is_what_it_was_and_can_be_reported(model, intake, reporter, plain) -> None:
    client = wrap(plain, reporter, adapter="a" * 64)
    response = client.chat.completions.create(
        model="m", messages=MESSAGES, temperature=0.2, seed=7, extra_body={"top_k": 5, "guided": {"x": 1}}
    )
    untouched = plain.chat.completions.create(
        model="m", messages=MESSAGES, temperature=0.2, seed=7, extra_body={"top_k": 5, "guided": {"x": 1}}
    )
    assert type(response) is ChatCompletion
    assert response == untouched
    assert model.requests[0] == model.requests[1]
    assert reporter.stats().waiting == 0, "nothing is reported by itself"

    assert report_of(response).report(
        correction="Three dogs.", rating="down", reason="one hides", task="counting", tags={"screen": "home"}
    )
    (event,) = sent(reporter, intake)
    assert event.pop("eventId")
    assert event.pop("occurredAt") > 1_600_000_000_000
    assert event == {
        "model": "m",
        "adapter": "a" * 64,
        "conversation": CONVERSATION,
        "decoding": {"temperature": 0.2, "seed": 7, "top_k": 5},
        "response": ANSWER,
        "correction": "Three dogs.",
        "rating": "down",
        "reason": "one hides",
        "task": "counting",
        "tags": {"screen": "home"},
    }
    assert intake.images == {sha256(PNG).hexdigest(): PNG}


def test_a_stream_is_what_it_was_and_can_be_reported(model, intake, reporter, plain) -> None:
    client = wrap(plain, reporter, model="fine-tuned")
    stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True, n=2)
    assert type(stream) is Stream
    report = report_of(stream)
    assert list(stream) == list(plain.chat.completions.create(model="m", messages=MESSAGES, stream=True, n=2))
    assert report.report(rating="down")
    assert report.report(rating="up", choice=1)
    first, second = sent(reporter, intake)
    assert (first["response"], first["model"], first["decoding"]) == (ANSWER, "fine-tuned", {"n": 2})
    assert second["response"] == "bbb"
    assert first["eventId"] != second["eventId"]


def test_a_stream_read_in_part_or_broken_off_is_reported_as_far_as_it_came(model, intake, reporter, plain) -> None:
    client = wrap(plain, reporter)
    with client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
        next(stream)
        next(stream)
    assert report_of(stream).report(rating="down")
    model.breaks_off = True
    errors = []
    for one in (client, plain):
        stream = one.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with pytest.raises(OpenAIError) as raised:
            list(stream)
        errors.append((type(raised.value), str(raised.value)))
        if one is client:
            assert report_of(stream).report(rating="down")
    assert errors[0] == errors[1], "the host sees the same error as without the wrapper"
    responses = [event["response"] for event in sent(reporter, intake)]
    assert responses == [PIECES[0], "".join(PIECES[:2])]


def test_asynchronous_clients_too(model, intake, reporter) -> None:
    async def talk() -> None:
        async with AsyncOpenAI(api_key="sk-secret", base_url=model.url, max_retries=0) as plain:
            client = wrap(plain, reporter)
            response = await client.chat.completions.create(model="m", messages=MESSAGES)
            assert response == await plain.chat.completions.create(model="m", messages=MESSAGES)
            assert report_of(response).report(rating="up")
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            assert type(stream) is AsyncStream
            other = await plain.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            assert [chunk async for chunk in stream] == [chunk async for chunk in other]
            assert report_of(stream).report(rating="down")
            model.status = 400
            with pytest.raises(APIStatusError):
                await client.chat.completions.create(model="m", messages=MESSAGES)

    asyncio.run(talk())
    events = sent(reporter, intake)
    assert [(event["response"], event["rating"]) for event in events] == [(ANSWER, "up"), (ANSWER, "down")]
    assert all(event["conversation"] == CONVERSATION for event in events)


def test_the_client_given_stays_as_it_was_and_copies_are_wrapped(model, intake, reporter, plain) -> None:
    client = wrap(plain, reporter)
    assert not report_of(plain.chat.completions.create(model="m", messages=MESSAGES)).report(rating="up")
    response = client.with_options(timeout=9).chat.completions.create(model="m", messages=MESSAGES)
    assert report_of(response).report(rating="up")
    raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
    assert raw.parse().choices[0].message.content == ANSWER
    assert len(sent(reporter, intake)) == 1


def test_parsed_responses_and_their_streams_too(model, intake, reporter, plain) -> None:
    client = wrap(plain, reporter)
    parsed = client.chat.completions.parse(model="m", messages=MESSAGES)
    assert parsed == plain.chat.completions.parse(model="m", messages=MESSAGES)
    assert report_of(parsed).report(rating="up")
    with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == ANSWER
    assert report_of(stream).report(rating="down")

    async def talk() -> None:
        async with AsyncOpenAI(api_key="sk-secret", base_url=model.url) as plain:
            async with wrap(plain, reporter).chat.completions.stream(model="m", messages=MESSAGES) as stream:
                await stream.until_done()
            assert report_of(stream).report(rating="down")

    asyncio.run(talk())
    events = sent(reporter, intake)
    assert [(event["response"], event["rating"]) for event in events] == [(ANSWER, "up"), *[(ANSWER, "down")] * 2]


def test_errors_of_the_model_reach_the_host_unchanged(model, reporter, plain) -> None:
    model.status = 429
    client = wrap(plain, reporter)
    with pytest.raises(APIStatusError) as raised:
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert raised.value.status_code == 429
    with pytest.raises(TypeError):
        client.chat.completions.create(model="m")  # type: ignore[call-overload]


def broken(*arguments: Any) -> Any:
    raise RuntimeError("private")


@pytest.mark.parametrize("part", ["conversation_of", "decoding_of", "field_of", "_Tap"])
@pytest.mark.parametrize("streamed", [False, True])
def test_errors_inside_the_wrapper_never_reach_the_host(
    reporter, plain, monkeypatch, part: str, streamed: bool
) -> None:
    monkeypatch.setattr(openai_wrap, part, broken)
    response = wrap(plain, reporter).chat.completions.create(model="m", messages=MESSAGES, stream=streamed)
    if streamed:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in response if chunk.choices) == ANSWER
    else:
        assert response.choices[0].message.content == ANSWER
    report_of(response).report(rating="down")


def test_an_adapter_function_is_asked_for_each_request_and_may_fail(intake, reporter, plain) -> None:
    adapters = iter(["a" * 64, None])
    client = wrap(plain, reporter, adapter=lambda: next(adapters))
    for _ in range(3):
        report_of(client.chat.completions.create(model="m", messages=MESSAGES)).report(rating="up")
    assert [event["adapter"] for event in sent(reporter, intake)] == ["a" * 64, None]
    assert reporter.stats().invalid == 1


def test_links_are_resolved_by_the_host_or_not_at_all(intake, reporter, plain) -> None:
    messages: list[Any] = [user(image(LINK), text("How many?"))]
    asked: list[tuple[str, str]] = []

    def resolver(url: str) -> bytes:
        asked.append((url, threading.current_thread().name))
        if len(asked) > 1:
            raise OSError("away")
        return PNG

    alone = wrap(plain, reporter).chat.completions.create(model="m", messages=messages)
    assert not report_of(alone).report(rating="down")
    client = wrap(plain, reporter, resolver=resolver)
    for _ in range(2):
        assert report_of(client.chat.completions.create(model="m", messages=messages)).report(rating="down")
    (event,) = sent(reporter, intake)
    assert event["conversation"][0]["content"][0] == {"type": "image", "sha256": sha256(PNG).hexdigest()}
    assert asked == [(LINK, "nearmiss-reporter")] * 2
    assert reporter.stats().invalid == 2


def test_a_refusal_is_what_the_model_said(model, intake, reporter, plain) -> None:
    model.content, model.refusal = None, "I can not say."
    response = wrap(plain, reporter).chat.completions.create(model="m", messages=MESSAGES)
    assert report_of(response).report(rating="down", reference=ANSWER)
    assert [event["response"] for event in sent(reporter, intake)] == ["I can not say."]


def test_a_response_without_text_is_counted_not_sent(model, reporter, plain) -> None:
    model.content = None
    response = wrap(plain, reporter).chat.completions.create(model="m", messages=MESSAGES)
    assert not report_of(response).report(rating="down")
    assert reporter.stats().invalid == 1


def test_all_reports_on_one_response_share_their_fate(intake, plain) -> None:
    with reporting(intake.url, sample_rate=0.5) as reporter:
        response = wrap(plain, reporter).chat.completions.create(model="m", messages=MESSAGES)
        assert len({report_of(response).report(rating="down") for _ in range(40)}) == 1


def test_what_a_report_needs_lives_as_long_as_the_response(reporter, plain) -> None:
    client = wrap(plain, reporter)
    gc.collect()
    before = len(openai_wrap._reports)
    response = client.chat.completions.create(model="m", messages=MESSAGES)
    stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    list(stream)
    assert len(openai_wrap._reports) == before + 2
    del response, stream
    gc.collect()
    assert len(openai_wrap._reports) == before


@pytest.mark.parametrize("thing", [None, 7, "text", object()])
def test_a_thing_that_is_no_response_reports_nothing(thing: Any) -> None:
    assert report_of(thing).report(rating="up") is False


def test_a_dead_reporting_api_does_not_hold_up_the_model(plain) -> None:
    heard: list[str] = []
    listen: Callable[[str], None] = heard.append
    with reporting(NOWHERE, on_error=listen) as reporter:
        client = wrap(plain, reporter)
        for _ in range(5):
            response = client.chat.completions.create(model="m", messages=MESSAGES)
            assert report_of(response).report(rating="down")
        assert reporter.stats().waiting == 5
