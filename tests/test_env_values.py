"""A value of `.env` is read as shells read it, or refused in a sentence that names line and setting and no value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from teams_dagster.core.protocol import Role
from teams_dagster.settings import SettingsError, load_settings

READ = {
    "TEAMS_DATA_DIR=kept": "kept",
    "export  TEAMS_DATA_DIR=kept": "kept",
    "\texport\tTEAMS_DATA_DIR=kept": "kept",
    "TEAMS_DATA_DIR=kept # where": "kept",
    "TEAMS_DATA_DIR=kept#2": "kept#2",
    'TEAMS_DATA_DIR="kept" # where': "kept",
    "TEAMS_DATA_DIR='kept here' # where": "kept here",
    'TEAMS_DATA_DIR="kept # here"': "kept # here",
    "TEAMS_DATA_DIR=kept here": "kept here",
    "TEAMS_DATA_DIR = kept": "kept",
    "TEAMS_DATA_DIR=kept\r": "kept",
    'TEAMS_DATA_DIR="kept"\r': "kept",
    "\ufeffTEAMS_DATA_DIR=kept": "kept",
    'TEAMS_DATA_DIR="${PLACE}/kept"': "over/kept",
    "TEAMS_DATA_DIR=${PLACE}/kept": "over/kept",
    "TEAMS_DATA_DIR='$PLACE'": "$PLACE",
    "TEAMS_DATA_DIR=a$b": "a$b",
    "TEAMS_DATA_DIR='o\"brien'": 'o"brien',
    "TEAMS_DATA_DIR=نامه\u200cها": "نامه\u200cها",
    "TEAMS_DATA_DIR=kept\nTEAMS_DATA_DIR=kept": "kept",
}

REFUSED = {
    "TEAMS_DATA_DIR=$PLACE/kept": "has $PLACE in its value, which is not replaced: write ${PLACE}",
    'TEAMS_DATA_DIR="$PLACE/kept"': "has $PLACE in its value, which is not replaced: write ${PLACE}",
    'TEAMS_DATA_DIR="a\\$b"': "has `\\$`, whose backslash is kept",
    "TEAMS_DATA_DIR=`pwd`": "has `$(...)`, which is not run",
    "TEAMS_DATA_DIR=$(pwd)/kept": "has `$(...)`, which is not run",
    "TEAMS_DATA_DIR=kept;": "has a command after it",
    "TEAMS_DATA_DIR=kept; export TEAMS_DATA_DIR": "has a command after it",
    "TEAMS_DATA_DIR=kept && true": "has a command after it",
    "TEAMS_DATA_DIR=kept\\": "has a backslash before a space or the end of the line",
    "TEAMS_DATA_DIR=kept\\ here": "has a backslash before a space or the end of the line",
    'TEAMS_DATA_DIR=a"b"c': "has a quotation mark within its value",
    "TEAMS_DATA_DIR=kept'": "has a quotation mark within its value",
    "TEAMS_DATA_DIR=kept\u201d": "has a quotation mark within its value",
    'TEAMS_DATA_DIR="C:\\temp\\new"': "has U+0009 (a control character) in its value",
    "TEAMS_DATA_DIR=\ufeffkept": "has U+FEFF (ZERO WIDTH NO-BREAK SPACE) in its value",
    "TEAMS_DATA_DIR=kept\u200b": "has U+200B (ZERO WIDTH SPACE) in its value",
    "TEAMS_DATA_DIR='kept\u202e'": "has U+202E (RIGHT-TO-LEFT OVERRIDE) in its value",
    "TEAMS_DATA_DIR=<your folder>": "still has the placeholder of an example for its value",
    'TEAMS_API_KEY="<sk-...>"': "still has the placeholder of an example for its value",
}


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("PLACE", "over")


@pytest.mark.parametrize("content", READ)
def test_a_value_is_read_as_it_is_meant(tmp_path: Path, content: str) -> None:
    (tmp_path / ".env").write_text(f"{content}\n", encoding="utf-8", newline="")
    assert load_settings(tmp_path).data_dir == tmp_path / READ[content]


@pytest.mark.parametrize("content", REFUSED)
def test_a_value_that_a_shell_reads_otherwise_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / ".env").write_text(f"# where\n{content}\n", encoding="utf-8", newline="")
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/\.env, line 2: TEAMS_\w+ {re.escape(REFUSED[content])}"):
        load_settings(tmp_path)


def test_a_value_that_is_json_keeps_its_quotation_marks(tmp_path: Path) -> None:
    extra = 'TEAMS_EXPERT_EXTRA={"stop": "\'", "top_k": 40}'
    (tmp_path / ".env").write_text(f"TEAMS_EXPERT_MODEL=m\nTEAMS_EXPERT_API_KEY=k\n{extra}\n")
    assert load_settings(tmp_path).role(Role.EXPERT).extra == {"stop": "'", "top_k": 40}


def test_a_refused_value_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('TEAMS_API_KEY=sk-planted"-secret\n')
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path)
    assert "planted" not in str(refused.value)
