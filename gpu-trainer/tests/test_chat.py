"""From chat messages to an event's conversation and settings."""

from __future__ import annotations

from typing import Any

import pytest

from fake_chat import DATA_URL, LINK, MESSAGES, PNG, image, text, user
from nearmiss.reporting.chat import conversation_of, decode_data_url, decoding_of
from nearmiss.reporting.events import BadEvent


class Said:
    """A message as an object, as responses hold them."""

    role, content, tool_calls = "assistant", "Two.", None


def test_tools_of_earlier_turns_are_left_out() -> None:
    messages: list[Any] = [
        {"role": "system", "content": "S"},
        user(text("Q1"), text("")),
        Said(),
        {"role": "assistant", "content": "Let me look.", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "looked"},
        {"role": "function", "name": "f", "content": "looked"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "2"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "Q2"},
    ]
    said = [(turn["role"], [part["text"] for part in turn["content"]]) for turn in conversation_of(messages, None)]
    assert said == [
        ("system", ["S"]),
        ("user", ["Q1"]),
        *(("assistant", [words]) for words in ("Two.", "Let me look.", "No.")),
        ("user", ["Q2"]),
    ]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, "no list"),
        ("text", "no list"),
        (iter(MESSAGES), "no list"),
        ([], "end with the user"),
        ([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "end with the user"),
        ([user({"type": "image_url", "image_url": {}})], "without a URL"),
        ([user(image(LINK))], "no resolver"),
        ([user(text("Q"), {"type": "input_audio", "input_audio": {}})], "neither text nor image"),
        ([user(text("Q")), {"role": "assistant", "tool_calls": [{}]}, {"role": "tool", "content": "4"}], "of tools"),
        ([user(text("Q")), {"role": "tool", "content": "4"}, {"role": "assistant", "content": "So"}], "of tools"),
    ],
)
def test_what_can_not_be_told_is_named(messages: Any, reason: str) -> None:
    with pytest.raises(BadEvent, match=reason):
        conversation_of(messages, None)


def test_data_urls() -> None:
    assert decode_data_url(DATA_URL) == PNG
    assert decode_data_url("data:text/plain,a%20b") == b"a b"
    for bad in ("data:image/png;base64", "data:;base64,A", f"data:;base64,{'A' * 11_000_000}"):
        with pytest.raises((BadEvent, ValueError)):
            decode_data_url(bad)


def test_settings_are_scalars() -> None:
    given: dict[str, Any] = {"temperature": 0, "top_p": float("inf"), "seed": None, "stop": ["x"], "messages": []}
    assert decoding_of(given) == {"temperature": 0}
    assert decoding_of({**given, "extra_body": {"temperature": 1, "min_p": 0.1, "top_k": {}}}) == {
        "temperature": 0,
        "min_p": 0.1,
    }
