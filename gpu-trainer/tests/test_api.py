"""The trainer's HTTP client over real HTTP: typed results, retries where they help, a lost lease where it is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import count

import pytest

from batches import gate_of, images_of, pairs_of, scenes
from fake_api import KEY, PAGE, FakeApi, error, serving
from nearmiss.api import Api, ApiError, Lease, LeaseLost, Unreachable
from nearmiss.contract import PairReport, RefusedPair, ScoredPair
from nearmiss.images import ImageStore


@pytest.fixture(scope="module")
def world():
    return scenes(0, 6)


@pytest.fixture
def fake(world) -> Iterator[FakeApi]:
    with serving(FakeApi(pairs_of(world, 20, 2), gate_of(world, 30), images_of(world))) as api:
        yield api


@pytest.fixture
def api(fake: FakeApi) -> Iterator[Api]:
    with Api(fake.url, KEY, attempts=4, retry_first_s=0.01) as client:
        yield client


def claimed(api: Api) -> Lease:
    answer = api.claim("t")
    assert answer.round is not None
    return Lease(answer.round)


def test_a_claim_brings_the_lease_and_the_policy(fake: FakeApi, api: Api) -> None:
    answer = api.claim("t").round
    assert answer is not None
    assert (answer.id, answer.resumed, answer.lease.fence, answer.reference) == ("round-1", False, 1, None)
    assert answer.batch.sha256 == fake.batch_sha256
    assert answer.policy.training.learning_rate == 5e-4
    again = api.claim("t").round
    assert again is not None
    assert (again.id, again.resumed, again.lease.fence) == ("round-1", True, 2)


def test_nothing_to_train_comes_with_its_reason(fake: FakeApi, api: Api) -> None:
    fake.pairs = {}
    answer = api.claim("t")
    assert answer.round is None
    assert "a round needs 300" in (answer.reason or "")


def test_pages_bring_every_line_once_in_order(fake: FakeApi, api: Api) -> None:
    lease = claimed(api)
    assert len(fake.pairs) > 3 * PAGE
    assert [pair.id for pair in api.pairs(lease)] == sorted(fake.pairs)
    assert list(api.gate_items(lease)) == fake.gate


def test_a_page_that_names_itself_as_the_next_does_not_go_on_for_ever(fake: FakeApi, api: Api) -> None:
    lease = claimed(api)
    fake.interfere = lambda method, path: (200, b"", {"nearmiss-next": "x"}) if path.endswith("/pairs") else None
    with pytest.raises(ApiError, match="names itself"):
        list(api.pairs(lease))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
def test_overload_and_dead_connections_are_tried_again(fake: FakeApi, api: Api, status: int) -> None:
    left = count(-2)
    fake.interfere = lambda method, path: (status, b"", {"retry-after": "0"}) if next(left) < 0 else None
    assert api.champion().adapter is None
    assert fake.requests.count("GET /v1/adapters/champion") == 3


def test_retries_end(fake: FakeApi, api: Api) -> None:
    fake.interfere = lambda method, path: error(503, "overloaded", "Busy.")
    with pytest.raises(Unreachable, match="503 Busy"):
        api.champion()
    assert len(fake.requests) == 4


@pytest.mark.parametrize(("status", "code"), [(400, "bad_request"), (401, "unauthorized"), (404, "not_found")])
def test_refusals_are_not_tried_again(fake: FakeApi, api: Api, status: int, code: str) -> None:
    fake.interfere = lambda method, path: error(status, code, "No.")
    with pytest.raises(ApiError, match=f"{status} No") as raised:
        api.champion()
    assert (raised.value.status, raised.value.code) == (status, code)
    assert not isinstance(raised.value, Unreachable | LeaseLost)
    assert len(fake.requests) == 1


def test_a_late_holder_learns_that_the_lease_is_lost(fake: FakeApi, api: Api) -> None:
    lease = claimed(api)
    assert api.heartbeat(lease, "train", 3, 32).expires_at > 0
    assert fake.heartbeats == [{"phase": "train", "step": 3, "steps": 32}]
    claimed(api)
    with pytest.raises(LeaseLost):
        api.heartbeat(lease, "train", 4, 32)
    with pytest.raises(LeaseLost):
        api.report(lease, [RefusedPair(pair_id=next(iter(fake.pairs)), refused="x")])
    with pytest.raises(LeaseLost):
        list(api.pairs(lease))
    assert not fake.reports


def test_a_conflict_without_a_lease_is_no_lost_lease(fake: FakeApi, api: Api) -> None:
    fake.interfere = lambda method, path: error(409, "conflict", "No.")
    with pytest.raises(ApiError) as raised:
        api.champion()
    assert not isinstance(raised.value, LeaseLost)


def score_of(pair: str) -> ScoredPair:
    return ScoredPair(
        pair_id=pair,
        chosen_before=-1.5,
        rejected_before=-2.0,
        chosen_after=-1.0,
        rejected_after=-3.0,
        chosen_tokens=4,
        rejected_tokens=5,
    )


def test_reports_go_in_chunks_and_count_once(fake: FakeApi, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearmiss.api.REPORTS_PER_CHUNK", 9)
    lease = claimed(api)
    reports: list[PairReport] = [score_of(pair) for pair in fake.pairs]
    answer = api.report(lease, reports)
    assert (answer.stored, answer.duplicate) == (len(fake.pairs), 0)
    assert fake.requests.count(f"POST {lease.path('reports')}") == -(-len(fake.pairs) // 9)
    again = api.report(lease, reports)
    assert (again.stored, again.duplicate) == (0, len(fake.pairs))
    assert fake.reports[reports[0].pair_id] == reports[0]


def test_nothing_to_report_asks_nothing(fake: FakeApi, api: Api) -> None:
    lease = claimed(api)
    before = len(fake.requests)
    assert api.report(lease, []).stored == 0
    assert len(fake.requests) == before


def test_an_adapter_comes_back_as_it_went_and_a_spoilt_one_does_not(fake: FakeApi, api: Api) -> None:
    digest = api.upload_adapter(b"weights", claimed(api))
    assert digest == sha256(b"weights").hexdigest()
    assert api.adapter(digest) == b"weights"
    fake.adapters[digest] = b"other weights"
    with pytest.raises(ApiError, match="do not match the hash"):
        api.adapter(digest)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"round": {"id": 1}}', b'{"adapter": "no hash", "previous": null}', b"\xff\xfe"]
)
def test_nonsense_from_the_server_is_an_error_of_its_own(fake: FakeApi, api: Api, body: bytes) -> None:
    fake.interfere = lambda method, path: (200, body, {})
    with pytest.raises(ApiError, match="no valid ChampionResponse"):
        api.champion()


def test_errors_do_not_show_the_key(fake: FakeApi) -> None:
    with Api(fake.url, "nm_wrong-secret", attempts=1) as api, pytest.raises(ApiError) as raised:
        api.champion()
    assert raised.value.status == 401
    assert "wrong-secret" not in str(raised.value)


def test_images_are_fetched_once_and_checked(fake: FakeApi, api: Api, tmp_path, world) -> None:
    store = ImageStore(api, tmp_path)
    names = [example.image_sha256 for example in world]
    seen: list[int] = []
    assert store.fetch([*names, *names], seen.append) == {}
    assert seen == list(range(1, len(names) + 1))
    assert len(fake.requests) == len(names)
    assert store.load(names[0]).size == (100, 100)
    assert len(fake.requests) == len(names), "from the disk"

    spoilt = tmp_path / names[0][:2] / names[0]
    spoilt.write_bytes(b"spoilt")
    assert store.load(names[0]).size == (100, 100)
    assert len(fake.requests) == len(names) + 1, "what is spoilt on the disk is fetched again"


def test_images_that_can_not_be_used_are_named_with_their_reason(fake: FakeApi, api: Api, tmp_path, world) -> None:
    good, gone, other, garbled = [example.image_sha256 for example in world][:4]
    del fake.images[gone]
    fake.images[other] = fake.images[good]
    text = b"this is no picture"
    fake.images[sha256(text).hexdigest()] = text
    problems = ImageStore(api, tmp_path).fetch([good, gone, other, sha256(text).hexdigest()], lambda done: None)
    assert problems == {
        gone: "is missing",
        other: "has bytes that do not match its hash",
        sha256(text).hexdigest(): "can not be decoded (UnidentifiedImageError)",
    }
    assert garbled not in problems


def test_an_api_that_is_away_is_not_taken_for_a_missing_image(fake: FakeApi, api: Api, tmp_path, world) -> None:
    fake.interfere = lambda method, path: (503, b"", {})
    with pytest.raises(Unreachable):
        ImageStore(api, tmp_path).fetch([world[0].image_sha256], lambda done: None)


def test_the_image_cache_is_pruned_to_its_limit(fake: FakeApi, api: Api, tmp_path, world) -> None:
    store = ImageStore(api, tmp_path)
    store.fetch([example.image_sha256 for example in world], lambda done: None)
    sizes = [path.stat().st_size for path in tmp_path.glob("*/*")]
    store.prune(limit_bytes=sum(sizes) // 2)
    left = [path.stat().st_size for path in tmp_path.glob("*/*")]
    assert 0 < sum(left) <= sum(sizes) // 2


def test_the_wire_is_camel_case() -> None:
    assert json.loads(score_of("p").wire())["chosenBefore"] == -1.5
