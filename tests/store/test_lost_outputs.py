"""Outputs that the chain sealed and that nobody finds any more are told by their asset."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from teams_dagster.cli import main
from teams_dagster.cli.project import project_ledger
from teams_dagster.ledger.database import LedgerError, sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.settings import Settings
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.artefacts import store_id, stored_artefacts
from teams_dagster.store.hash_chain import seal
from teams_dagster.store.integrity import GONE, verify_storage
from teams_dagster.store.lost_outputs import lost_line, lost_outputs
from teams_dagster.store.read_model import refresh
from teams_dagster.store.tables import MANIFEST

SEALED = ("assets/trained_policy/aa", "assets/trained_policy/bb", "assets/expert_responses/2026-11-02/cc")


def sealed(ledger: Path, store: str) -> str:
    """A ledger whose chain seals outputs of the store."""
    url = sqlite_url(ledger)
    with Ledger(url) as opened:
        seal(opened.engine, [(f"{store}/{name}", "hash") for name in SEALED])
    return url


def lost(url: str, data: Path) -> list[str]:
    with Ledger(url) as opened:
        return lost_outputs(opened.engine, url, data)


def make(data: Path, name: str) -> None:
    (data / name).mkdir(parents=True)
    (data / name / MANIFEST).write_text("{}")


def write(store: ArtefactStore, made_at: str) -> Artefact:
    with store.writing("trained_policy", "aa", about={"run_id": "run", "made_at": made_at}) as draft:
        draft.finish("v1", {})
    return store.current("trained_policy")


def test_an_assets_folder_that_is_gone_is_told_by_asset_and_partition(tmp_path: Path) -> None:
    url = sealed(tmp_path / "ledger.sqlite", "an-earlier-id")
    assert lost(url, tmp_path) == ["trained_policy", "expert_responses 2026-11-02"]


def test_an_asset_with_another_output_is_not_lost(tmp_path: Path) -> None:
    url = sealed(tmp_path / "ledger.sqlite", "an-earlier-id")
    make(tmp_path, "assets/trained_policy/dd")
    make(tmp_path, SEALED[2])
    assert lost(url, tmp_path) == []


def test_an_output_that_is_made_again_after_it_was_lost_is_what_was_written(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    Ledger(url).close()
    store = ArtefactStore(str(tmp_path), ledger_url=url)
    first = write(store, "09:00")
    refresh(url, stored_artefacts(tmp_path), tmp_path / "teams.duckdb")
    shutil.rmtree(first.folder)
    again = write(store, "10:00")
    refresh(url, stored_artefacts(tmp_path), tmp_path / "teams.duckdb")
    found = verify_storage(url, tmp_path, [])
    assert found.differences == []
    assert found.not_verified == {GONE: 1}
    assert store.find("trained_policy", "aa") == again


def test_a_ledger_that_cannot_be_read_is_told_before_an_output_is_made(tmp_path: Path) -> None:
    store_id(tmp_path)
    (tmp_path / "ledger.sqlite").write_text("no database, but as long as the head of one " * 40)
    store = ArtefactStore(str(tmp_path), ledger_url=sqlite_url(tmp_path / "ledger.sqlite"))
    made: list[Path] = []
    with pytest.raises(LedgerError), store.writing("trained_policy", "aa", about={}) as draft:
        made.append(draft.folder)
    assert made == []


def test_on_a_shared_ledger_only_outputs_of_this_folder_count(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    url = sealed(tmp_path / "shared.sqlite", "another-folder")
    assert lost(url, data) == []
    with Ledger(url) as opened:
        seal(opened.engine, [(f"{store_id(data)}/assets/lora_model/ee", "hash")])
    assert lost(url, data) == ["lora_model"]


def test_a_command_that_opens_the_ledger_says_what_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = sealed(tmp_path / "ledger.sqlite", "an-earlier-id")
    with project_ledger(Settings(root=tmp_path, data_dir=tmp_path, dagster_home=tmp_path, ledger_url=url)):
        pass
    assert "the outputs of trained_policy, expert_responses 2026-11-02 are gone from" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["estimate"], ["lineage", "0123456789"], ["export", "--to", "out"], ["policy", "--to", "out"]]
)
def test_each_command_that_reads_outputs_says_what_is_gone(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    sealed(tmp_path / "ledger.sqlite", "an-earlier-id")
    result = CliRunner().invoke(main, command)
    assert "the outputs of trained_policy, expert_responses 2026-11-02 are gone from" in result.output.splitlines()[0]


def test_what_cannot_be_followed_is_not_called_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    sealed(tmp_path / "ledger.sqlite", "an-earlier-id")
    for asked in (["0123456789"], ["--from", "operation=deepening"]):
        result = CliRunner().invoke(main, ["lineage", *asked])
        said = "cannot be followed while the outputs of trained_policy, expert_responses 2026-11-02 are gone"
        assert (result.exit_code, said in result.output) == (1, True)


def test_of_many_the_first_are_named(tmp_path: Path) -> None:
    assert "the outputs of a, b, c, d and 2 more are gone" in lost_line([*"abcdef"], tmp_path)
