"""Worlds ask only what their pictures answer, and never show a held-out image in deployment."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nearmiss.answers import same
from nearmiss.worlds import Example, World, WorldError, open_world
from nearmiss.worlds.box import COLOURS, SHAPES, SIZE_WORDS, Box, Thing, is_tower
from nearmiss.worlds.items import HELD_OUT_SHARES, Item
from nearmiss.worlds.nlvr import PERMUTATIONS, read_box, read_crops
from nearmiss.worlds.questions import NUMBERS, Asked, Mix, YesBalance, ask
from nearmiss.worlds.render import render
from nearmiss.worlds.scenes import Style, draw_box
from nearmiss.worlds.score import score

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NEARMISS_DATA", REPOSITORY.parent / "shared" / "data")) / "nlvr"
REAL_PIXELS_OFF_MAX = 0.026
"""Mean distance of drawn to real pixels, in grey levels of 255."""

needs_nlvr = pytest.mark.skipif(not DATA.is_dir(), reason=f"no NLVR images in {DATA} (set NEARMISS_DATA)")
worlds = pytest.mark.parametrize("name", ["scenes", pytest.param("nlvr", marks=needs_nlvr)])


@cache
def world(name: str, seed: int = 0) -> World:
    return open_world(name, DATA, seed)


def hashes(examples: list[Example]) -> set[str]:
    return {e.image_sha256 for e in examples}


things = st.builds(
    lambda shape, colour, size, x, y: Thing(shape, colour, size, x * (100 - size) // 100, y * (100 - size) // 100),
    st.sampled_from(SHAPES),
    st.sampled_from(COLOURS),
    st.sampled_from(sorted(SIZE_WORDS)),
    st.integers(0, 100),
    st.integers(0, 100),
)
boxes = st.lists(things, min_size=1, max_size=9).map(tuple)


# --- an independent reading of the sentences: it knows English and boxes, nothing of how questions are made


def fitting(noun: str, box: Box) -> list[Thing]:
    """The things that a noun phrase such as "small yellow circles" or "object at the top" names."""
    ends = {"biggest": lambda t: -t.size, "smallest": lambda t: t.size}
    ends |= {"top": lambda t: t.centre[1], "bottom": lambda t: -t.centre[1]}
    for word, rank in ends.items():
        if word in noun.split():
            return [t for t in box if rank(t) == min(map(rank, box))]
    words = {w.removesuffix("s") for w in noun.split()} - {"object"}
    return [t for t in box if words <= {t.shape, t.colour, t.size_word}]


def number(word: str) -> int:
    return 0 if word == "no" else NUMBERS.index(word)


def holds(answer: str, box: Box) -> bool:
    """Whether a sentence is true of a box, and names one thing only where it says "the"."""
    if m := re.fullmatch(r"There (?:is|are) (\w+) (.+)\.", answer.replace("as many", "as_many")):
        amount, rest = m.groups()
        if amount in ("more", "fewer", "as_many"):
            first, second = (len(fitting(n, box)) for n in re.split(r" than | as ", rest))
            return {"more": first > second, "fewer": first < second, "as_many": first == second}[amount]
        grammatical = (amount == "one") == (answer.startswith("There is")) and (amount == "one") != rest.endswith("s")
        return grammatical and number(amount) == len(fitting(rest, box))
    if m := re.fullmatch(r"Yes, there is an? (.+)\.", answer):
        return bool(fitting(m[1], box))
    if m := re.fullmatch(r"No, there is no (.+)\.", answer):
        return not fitting(m[1], box)
    if m := re.fullmatch(r"The (.+) is (left of|right of|above|below) the (.+)\.", answer):
        (a,), (b,) = fitting(m[1], box), fitting(m[3], box)
        (ax, ay), (bx, by) = a.centre, b.centre
        return {"left of": ax < bx, "right of": ax > bx, "above": ay < by, "below": ay > by}[m[2]]
    if m := re.fullmatch(r"The (.+) is at the (top|bottom) (left|right)\.", answer):
        (thing,) = fitting(m[1], box)
        x, y = thing.centre
        return (y < 50) == (m[2] == "top") and (x < 50) == (m[3] == "left")
    if m := re.fullmatch(r"The (.+) is (?:a )?(\w+)\.", answer):
        (thing,) = fitting(m[1], box)
        return m[2] in (thing.colour, thing.size_word, thing.shape)
    return False


def agrees(one: Asked | Item) -> bool:
    """Whether the answer speaks of what the question asks."""
    stop = {
        "there",
        "the",
        "is",
        "are",
        "a",
        "an",
        "in",
        "box",
        "what",
        "how",
        "where",
        "can",
        "you",
        "see",
        "or",
    }
    stop |= {"colour", "size", "shape", "more", "relative", "to", "many"}
    words = {w for w in re.findall(r"\w+", one.question.lower()) if w not in stop}
    return {w.removesuffix("s") for w in words} <= {w.removesuffix("s") for w in re.findall(r"\w+", one.answer.lower())}


@settings(max_examples=150, deadline=None)
@given(boxes, st.integers(0, 2**32))
def test_every_answer_is_true_of_its_box(box: Box, seed: int) -> None:
    asked = ask(box, Random(seed), YesBalance())
    assert len({a.question for a in asked}) == len(asked)
    for one in asked:
        assert holds(one.answer, box), (one, box)
        assert agrees(one), one
        assert len(one.answer.split()) > 2


@settings(max_examples=100, deadline=None)
@given(boxes, st.integers(0, 2**32))
def test_answers_need_the_picture(box: Box, seed: int) -> None:
    """The reader above can say no: an answer with another number, colour or side is not true of the box."""
    swaps = {"yellow.": "blue.", "blue.": "black.", "left of": "right of", "above": "below", "more": "fewer"}
    swaps |= {
        "Are one": "Are two",
        "one": "two",
        "two": "three",
        "three": "four",
        "six": "five",
        "small.": "big.",
    }
    for one in ask(box, Random(seed), YesBalance()):
        for old, new in swaps.items():
            if re.search(rf"\b{re.escape(old)}", one.answer):
                assert not holds(one.answer.replace(old, new, 1), box), (one, old)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_scenes_keep_to_the_box_and_the_style(seed: int, tower_share: float) -> None:
    style = Style(counts=(1, 1, 1), tower_share=tower_share, overlap_px=-2)
    box = draw_box(Random(seed), style)
    assert all(0 <= v <= 100 - t.size for t in box for v in (t.x, t.y))
    assert is_tower(box) or 1 <= len(box) <= 3
    assert box == draw_box(Random(seed), style)
    apart = [
        max(a.x, b.x) - min(a.x + a.size, b.x + b.size) >= 1 or max(a.y, b.y) - min(a.y + a.size, b.y + b.size) >= 1
        for i, a in enumerate(box)
        for b in box[:i]
    ]
    assert all(apart)


def test_towers_are_told_from_scattered_squares() -> None:
    tower = [Thing("square", "black", 20, 40, y) for y in (80, 59, 38)]
    assert is_tower(tuple(tower))
    assert is_tower(tuple(reversed(tower)))
    assert not is_tower(tuple(tower[1:])), "it does not stand on the floor"
    assert not is_tower((tower[0], Thing("square", "black", 20, 41, 59)))
    assert not is_tower((tower[0], Thing("circle", "black", 20, 40, 59)))
    assert not is_tower(())


@worlds
def test_rounds_and_held_out_share_no_image(name: str) -> None:
    rounds = [world(name).deployment(r, 60) for r in range(4)]
    held_out = hashes(world(name).held_out(60))
    assert sum(map(len, map(hashes, rounds))) == len(set().union(*map(hashes, rounds))) == 240
    assert all(held_out.isdisjoint(hashes(r)) for r in rounds)
    other_seed = hashes(open_world(name, DATA, 7).deployment(0, 200))
    assert held_out.isdisjoint(other_seed)
    assert other_seed != hashes(world(name).deployment(0, 200))


@worlds
def test_the_same_seed_gives_the_same_world(name: str) -> None:
    again = open_world(name, DATA, 0)
    assert again.deployment(1, 20) == world(name).deployment(1, 20)
    assert open_world(name, DATA, 5).held_out(10) == world(name).held_out(10)


@worlds
def test_held_out_has_every_task_and_balances_yes(name: str) -> None:
    items = [i for e in world(name).held_out(40) for i in e.items]
    by_task = Counter(i.task for i in items)
    assert by_task == {task: round(40 * share) for task, share in HELD_OUT_SHARES.items()}
    for some in (items, [i for e in world(name).deployment(0, 50) for i in e.items]):
        yes = [i.answer.startswith("Yes") for i in some if i.task == "existence"]
        assert abs(sum(yes) / len(yes) - 0.5) < 0.02
    assert {"count, scattered", "count, tower", "count of colour and shape"} <= {i.region for i in items}


@worlds
def test_an_example_hashes_the_png_it_carries(name: str) -> None:
    import hashlib
    import io

    for example in world(name).deployment(0, 5):
        assert hashlib.sha256(example.png).hexdigest() == example.image_sha256
        assert Image.open(io.BytesIO(example.png)).size == (100, 100)
        assert all(i.image_sha256 == example.image_sha256 for i in example.items)


@needs_nlvr
@pytest.mark.parametrize("permutation", range(6))
def test_drawn_boxes_match_the_real_pixels_in_every_permutation(permutation: int) -> None:
    crops = read_crops(DATA, "dev", permutation)[:150]
    off = []
    for crop in crops:
        with Image.open(crop.path) as file:
            x = crop.place * 150
            real = np.asarray(file.convert("RGB").crop((x, 0, x + 100, 100)), float)
        off.append(np.abs(np.asarray(render(crop.box), float) - real).mean())
    assert np.mean(off) <= REAL_PIXELS_OFF_MAX
    assert len(PERMUTATIONS) == 6


@needs_nlvr
def test_nlvr_deploys_dev_and_holds_out_test() -> None:
    nlvr = world("nlvr")
    content = {s: {c.picture().image_sha256 for c in read_crops(DATA, s)} for s in ("dev", "test")}
    assert hashes(nlvr.deployment(0, 800)) <= content["dev"]
    held_out = hashes(nlvr.held_out(10_000))
    assert held_out <= content["test"]
    assert len(held_out) >= 800


@needs_nlvr
def test_nlvr_says_how_many_images_it_has() -> None:
    with pytest.raises(WorldError, match=r"needs 2000 of dev, which has \d+"):
        world("nlvr").deployment(1, 1000)


def test_colours_are_read_in_any_spelling() -> None:
    raw = {"type": "circle", "size": 10, "x_loc": 3, "y_loc": 4}
    read = [read_box([{**raw, "color": c}])[0].colour for c in ("Black", "black", "YELLOW", "#0099FF", "#0099ff")]
    assert read == ["black", "black", "yellow", "blue", "blue"]


def test_bad_data_is_one_clear_line(tmp_path: Path) -> None:
    cases = [
        ("nlvr", None, "no data folder"),
        ("nlvr", tmp_path / "no", "no folder .*no;"),
        ("mars", None, "'mars'"),
    ]
    for name, data, message in cases:
        with pytest.raises(WorldError, match=message):
            open_world(name, data, 0)
    with pytest.raises(WorldError, match=r"no file .*dev\.json"):
        open_world("nlvr", tmp_path, 0)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "dev.json").write_text('{"identifier": "1-0", "directory": "0", "structured_rep": [[{}]]}\n')
    with pytest.raises(WorldError, match=r"line 1 of .* is not a description") as caught:
        open_world("nlvr", tmp_path, 0)
    assert "\n" not in str(caught.value)


def test_score_counts_by_task_region_and_yes() -> None:
    items = [
        Item("0", "How many objects are there?", "There are two objects.", "counting", "count, tower"),
        Item("0", "Is there a circle?", "Yes, there is a circle.", "existence", "existence"),
        Item("0", "Is there a square?", "No, there is no square.", "existence", "existence"),
    ]
    got = score(items, ["there are two  objects", "Yes, there is a circle.", "Yes, there is a square."])
    assert (got.all.right, got.all.n) == (2, 3)
    assert got.tasks["existence"].share == 0.5
    assert got.regions["count, tower"].share == 1
    assert (got.said_yes.share, got.true_yes.share) == (1.0, 0.5)
    assert not same("There is one object.", "There are two objects.")
    with pytest.raises(ValueError, match="shorter"):
        score(items, ["yes"])


def test_a_mix_asks_what_it_says() -> None:
    box = draw_box(Random(3), Style(counts=(0, 0, 0, 1), tower_share=0))
    nothing = Mix(0, 0, 0, 0, 0, 0, 0, 0)
    assert ask(box, Random(0), YesBalance(), nothing) == []
    only_caption = ask(box, Random(0), YesBalance(), Mix(0, 0, 0, 0, 0, 0, 0, 0, caption=1))
    assert [a.task for a in only_caption] == ["captioning"]
    always_yes = YesBalance(yes_share=1.0)
    for seed in range(20):
        ask(box, Random(seed), always_yes)
    assert always_yes.yes == always_yes.asked
