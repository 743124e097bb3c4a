"""Files that are seen whole or not at all, their hashes, and locks that die with their process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import Timeout

from teams_dagster.core.files import file_sha256, folder_sha256s, locked, replacing, write_atomically

ROOT = Path(__file__).parent.parent.parent

WRITES = """
import sys, time
from pathlib import Path
from teams_dagster.core.files import replacing

with replacing(Path(sys.argv[1])) as draft:
    draft.write_text("ne")
    print("begun", flush=True)
    time.sleep(3_600)
"""

HOLDS = """
import sys, time
from pathlib import Path
from teams_dagster.core.files import locked

with locked(Path(sys.argv[1])):
    print("begun", flush=True)
    time.sleep(3_600)
"""


@contextmanager
def running(program: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun to do something with `path`; it is killed when the block ends."""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def test_a_file_is_replaced_with_text_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, "für")
    assert path.read_bytes() == "für".encode()
    write_atomically(path, b"\0\n\r\n")
    assert path.read_bytes() == b"\0\n\r\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fill_the_disk() -> None:
        with replacing(path) as draft:
            draft.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with running(WRITES, path) as writer:
        writer.kill()
    assert path.read_text() == "old"
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_a_reader_keeps_the_file_that_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"


def test_a_folder_is_hashed_by_the_content_of_its_files(tmp_path: Path) -> None:
    for name in ("b", "a/c", ".hidden"):
        write_atomically(tmp_path / name, "abc")
    assert list(folder_sha256s(tmp_path)) == [".hidden", "a/c", "b"]
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert set(folder_sha256s(tmp_path).values()) == {file_sha256(tmp_path / "b")} == {abc}


def test_a_lock_that_is_held_is_told_once_and_waited_for_until_the_timeout(tmp_path: Path) -> None:
    told: list[str] = []
    with (
        running(HOLDS, tmp_path / "lock"),
        pytest.raises(Timeout),
        locked(tmp_path / "lock", timeout_s=0.2, waiting=lambda: told.append("waiting")),
    ):
        pass
    assert told == ["waiting"]


def test_a_lock_that_is_free_is_not_told(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with locked(tmp_path / "new" / "lock", waiting=lambda: told.append("waiting")):
            pass
    assert told == []


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with (
        running(HOLDS, tmp_path / "lock") as holder,
        locked(tmp_path / "lock", timeout_s=30, waiting=holder.kill),
    ):
        assert holder.poll() is not None or holder.wait(10)


def test_what_a_lock_file_says_survives_those_who_wait_for_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked(lock):
        lock.write_text("4711")
        with pytest.raises(Timeout), locked(lock, timeout_s=0):
            pass
        assert lock.read_text() == "4711"
