"""While the API is away events wait on disk, and outlive the process, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from client_support import FLUSH_S, NOWHERE, about, event, pair, report_all, reporting, showing, wait_until
from fake_intake import KEY, Intake, serving
from nearmiss.client import Reporter
from nearmiss.reporting.events import finish, make_draft
from nearmiss.reporting.spill import Spill


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("durable", [False, True])
def test_while_the_api_is_away_events_move_to_disk_and_outlive_the_process(tmp_path: Path, durable: bool) -> None:
    image = b"picture\n" * 20
    name = sha256(image).hexdigest()
    intake = Intake()
    with serving(intake):
        port = int(intake.url.rsplit(":", 1)[1])
    options = {"spill": tmp_path, "durable": durable, "queue_events": 100}
    with reporting(f"http://127.0.0.1:{port}", **options) as first:
        for k in range(80):
            assert first.report(about(k, image), {name: image})
        wait_until(lambda: first.stats().spilled > 0)
        wait_until(lambda: first.stats().waiting == 0)
        for k in range(80, 140):
            assert first.report(about(k, image), {name: image}), "memory is free again"
        for k in range(20):
            assert first.report_pair(pair(k, conversation=showing(image)))
        first.close(timeout_s=0)
        assert first.stats().dropped == 0
    assert not intake.events
    with serving(intake, port), reporting(intake.url, spill=tmp_path, durable=durable) as second:
        assert second.flush(FLUSH_S)
        assert second.stats().stored == 160
    assert set(intake.events) == {f"e{k}" for k in range(140)}
    assert set(intake.pairs) == {f"p{k}" for k in range(20)}
    assert intake.images == {name: image}
    assert intake.image_before_event
    assert files(tmp_path) == []


def test_the_disk_is_bounded_too(tmp_path: Path) -> None:
    with reporting(NOWHERE, spill=tmp_path, spill_bytes=6_000) as reporter:
        report_all(reporter, [event(k, response="x" * 100) for k in range(200)])
        wait_until(lambda: reporter.stats().dropped > 0)
        wait_until(lambda: reporter.stats().waiting == 0)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 6_000


def spilled(folder: Path) -> bytes:
    """The bytes of a batch that holds event 1 with an image."""
    ready = finish(make_draft("failures", event(1, conversation=showing(b"picture")), {}), None)
    assert ready
    Spill(folder).put([ready])
    return files(folder)[0].read_bytes()


def test_a_spoilt_file_on_disk_does_not_block_the_others(tmp_path: Path) -> None:
    whole = spilled(tmp_path)
    spoilt = [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"event": 1',
        whole[:-1],
        whole + b"x",
        whole.replace(b"failures", b"shutdown"),
    ]
    for k, data in enumerate(spoilt):
        (tmp_path / f"{k:020d}-000000-1.batch").write_bytes(data)
    with serving(Intake()) as intake, reporting(intake.url, spill=tmp_path) as reporter:
        assert reporter.flush(FLUSH_S)
        assert set(intake.events) == {"e1"}
        assert list(intake.images.values()) == [b"picture"]
    assert files(tmp_path) == []


def test_a_file_that_can_not_be_read_is_left_for_later_and_blocks_nothing(tmp_path: Path) -> None:
    spilled(tmp_path)
    unreadable = tmp_path / "00000000000000000000-000000-1.batch"
    unreadable.mkdir()
    for durable in (False, True):
        with serving(Intake()) as intake, reporting(intake.url, spill=tmp_path, durable=durable) as reporter:
            reporter.report(event(2))
            assert reporter.flush(FLUSH_S)
            assert "e2" in intake.events
    assert unreadable.exists()
    assert files(tmp_path) == []


@pytest.mark.parametrize("durable", [False, True])
def test_a_folder_that_can_not_be_made_costs_the_disk_only(tmp_path: Path, durable: bool) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    with serving(Intake()) as intake, reporting(intake.url, spill=folder, durable=durable) as reporter:
        assert reporter.report(event(1))
        assert reporter.flush(FLUSH_S)
        assert set(intake.events) == {"e1"}


def test_durable_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="spill"):
        Reporter(NOWHERE, KEY, durable=True)


def test_durable_delivers_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with serving(Intake()) as intake, reporting(intake.url, spill=tmp_path, durable=True) as reporter:
        for k in range(700):
            assert reporter.report(event(k, conversation=showing(bytes([k % 5]) * 50)))
        assert reporter.flush(FLUSH_S)
        assert (reporter.stats().stored, reporter.stats().duplicate, reporter.stats().images) == (700, 0, 5)
        assert files(tmp_path) == []


CHILD = """
import sys, time
from pathlib import Path
from nearmiss.client import Reporter
reporter = Reporter(sys.argv[1], "nm_very-secret-key", spill=Path(sys.argv[2]), durable=True)
for k in range(50):
    reporter.report({"eventId": f"e{k}", "model": "m", "conversation": [
        {"role": "user", "content": [{"type": "image", "sha256": b"picture"}]}], "response": "x"})
end = time.monotonic() + 15
while reporter.stats().waiting:
    assert time.monotonic() < end
    time.sleep(0.01)
print("reported", flush=True)
time.sleep(60)
"""


def test_killed_while_the_server_hangs_a_durable_reporter_loses_nothing_that_had_lingered(tmp_path: Path) -> None:
    intake, release = Intake(), threading.Event()
    with serving(intake):

        def hang(path: str) -> None:
            release.wait(20)

        intake.misbehave = hang
        command = [sys.executable, "-c", CHILD, intake.url, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as child:
            assert child.stdout
            assert child.stdout.readline() == b"reported\n"
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        assert not intake.events
        release.set()
        intake.misbehave = lambda path: None
        with reporting(intake.url, spill=tmp_path, durable=True) as reporter:
            assert reporter.flush(FLUSH_S)
        assert set(intake.events) == {f"e{k}" for k in range(50)}
        assert list(intake.images.values()) == [b"picture"]


def test_half_written_files_of_the_dead_are_cleared_away(tmp_path: Path) -> None:
    old, young = tmp_path / ".0-0-1.batch.1.1", tmp_path / ".0-0-2.batch.2.2"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7_200))
    Spill(tmp_path)
    assert files(tmp_path) == [young]
