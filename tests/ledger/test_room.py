"""What asking needs of the machine is said with the setting to change."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.room import LEAST_BYTES, NoRoom, bytes_needed, clock_behind, require_room
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import begin

MICROSECONDS = 1_000_000


def test_a_disk_with_less_room_than_a_step_needs_is_named_by_its_setting(tmp_path: Path) -> None:
    more = shutil.disk_usage(tmp_path).total + 1
    with pytest.raises(NoRoom, match=rf"TEAMS_DATA_DIR: the disk of {tmp_path} has [\d,]+ MB free, .* may need"):
        require_room({"TEAMS_DATA_DIR": tmp_path}, more)


def test_a_disk_with_room_is_nothing_to_speak_of(tmp_path: Path) -> None:
    require_room({"TEAMS_DATA_DIR": tmp_path, "TEAMS_LEDGER_URL": tmp_path}, 1)


def test_a_folder_that_is_not_made_yet_is_on_the_disk_of_the_nearest_that_is(tmp_path: Path) -> None:
    folders = {"TEAMS_DATA_DIR": tmp_path / "not" / "yet"}
    require_room(folders, 1)
    with pytest.raises(NoRoom, match=r"TEAMS_DATA_DIR: the disk of .*not/yet has"):
        require_room(folders, shutil.disk_usage(tmp_path).free + LEAST_BYTES)


def test_a_step_that_asks_more_needs_more() -> None:
    assert bytes_needed(0, 0) == LEAST_BYTES
    assert bytes_needed(1_000_000, 0) > 3_000_000_000
    assert bytes_needed(0, 1_000_000) > LEAST_BYTES


@pytest.mark.parametrize(("ahead_s", "said"), [(-3600, False), (5, False), (3600, True)])
def test_a_clock_behind_the_last_attempt_is_said(tmp_path: Path, ahead_s: int, said: bool) -> None:
    begun_at = int(time.time() + ahead_s) * MICROSECONDS
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        assert clock_behind(ledger.engine) == ""
        intent = begin("a")
        asyncio.run(ledger.write(replace(intent, attempt=replace(intent.attempt, started_at=begun_at))))
        assert ("set the clock right before going on" in clock_behind(ledger.engine)) is said
