"""What can go without anybody missing it, and what never goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.store import cleaning
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.cleaning import Removal, removals
from teams_dagster.store.integrity import REMOVED, Verification, verify_storage
from teams_dagster.store.read_model import refresh
from tests.support.weeks import Weeks

LATER = datetime(2027, 1, 1, tzinfo=UTC)
MODEL = {"model/adapter_model.safetensors": b"weights", "model/README.md": b"card", "models.parquet.txt": b"rows"}


@pytest.fixture
def weeks(tmp_path: Path) -> Weeks:
    """Two adapters of one dataset, the first superseded, on a base each."""
    weeks = Weeks(tmp_path)
    for number in ("1", "2"):
        weeks.write("base_model", f"base {number}", files=MODEL)
        weeks.write("lora_model", f"lora {number}", inputs={"base_model": f"base {number}"}, files=MODEL)
    return weeks


def planned(weeks: Weeks) -> dict[str, Removal]:
    """What would go, by the version of the output."""
    names = {artefact.folder: artefact.data_version for artefact, _ in weeks.store.everything()}
    return {names.get(removal.folder, removal.folder.name): removal for removal in removals(weeks.store, LATER)}


def remove(store: ArtefactStore, removal: Removal, before: datetime) -> str | None:
    """Why it was left; None where it went."""
    [(_, why)] = cleaning.remove(store, [removal], before)
    return why


def verified(weeks: Weeks) -> Verification:
    url = sqlite_url(weeks.store.root / "ledger.sqlite")
    refresh(url, stored_artefacts(weeks.store.root), weeks.store.root / "teams.duckdb")
    return verify_storage(url, weeks.store.root, [])


def test_weights_of_superseded_models_go_and_all_else_stays(weeks: Weeks) -> None:
    found = planned(weeks)
    assert found.keys() == {"base 1", "lora 1"}
    assert all(removal.files == ("model/adapter_model.safetensors",) for removal in found.values())
    assert [remove(weeks.store, removal, LATER) for removal in found.values()] == [None, None]
    assert planned(weeks) == {}
    for removal in found.values():
        assert (removal.folder / "model/README.md").is_file()
        assert (removal.folder / "manifest.json").is_file()


def test_what_a_current_output_is_made_from_stays(weeks: Weeks) -> None:
    weeks.write("evaluation_scores", "scores", inputs={"lora": "lora 1"})
    assert planned(weeks) == {}, "the scores of now are those of the adapter before, and of its base"


def test_the_store_is_looked_through_once_for_each_asset_however_much_goes(
    weeks: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 8):
        weeks.write("lora_model", f"lora {number}", files=MODEL)
    found, looked = list(planned(weeks).values()), list[None]()
    everything = ArtefactStore.everything

    def counted(store: ArtefactStore) -> Iterator[tuple[Artefact, bool]]:
        looked.append(None)
        return everything(store)

    monkeypatch.setattr(ArtefactStore, "everything", counted)
    assert [why for _, why in cleaning.remove(weeks.store, found, LATER)] == [None] * len(found)
    assert (len(found), len(looked)) == (7, 2)


def test_what_is_young_stays(weeks: Weeks) -> None:
    assert removals(weeks.store, datetime(2026, 11, 1, tzinfo=UTC)) == []


def test_no_verification_calls_it_lost(weeks: Weeks) -> None:
    assert verified(weeks).differing == 0
    for removal in planned(weeks).values():
        remove(weeks.store, removal, LATER)
    found = verified(weeks)
    assert (found.differing, found.not_verified) == (0, {REMOVED: 2})


def test_a_file_that_somebody_else_removed_is_lost_still(weeks: Weeks) -> None:
    verified(weeks)
    removal = planned(weeks)["lora 1"]
    remove(weeks.store, removal, LATER)
    (removal.folder / "model/README.md").unlink()
    assert [difference.row_id.rpartition("/")[2] for difference in verified(weeks).differences] == ["README.md"]


def test_nothing_current_is_excused_by_a_record_of_cleaning(weeks: Weeks) -> None:
    verified(weeks)
    removal = planned(weeks)["lora 1"]
    remove(weeks.store, removal, LATER)
    weeks.store.select(next(a for a, _ in weeks.store.everything() if a.data_version == "lora 1"))
    assert verified(weeks).differing == 1


def test_an_output_without_its_weights_is_made_again_and_not_reused(weeks: Weeks) -> None:
    removal = planned(weeks)["lora 1"]
    assert weeks.store.find("lora_model", removal.folder.name) is not None
    remove(weeks.store, removal, LATER)
    assert weeks.store.find("lora_model", removal.folder.name) is None


def test_what_an_interrupted_run_left_goes_when_nobody_wrote_to_it_for_long(weeks: Weeks) -> None:
    draft = left_behind(weeks)
    assert draft.name in planned(weeks)
    (draft / "checkpoints" / "state").touch()
    recent = datetime.now(UTC) - timedelta(days=1)
    assert draft not in [removal.folder for removal in removals(weeks.store, recent)]


def test_an_asset_that_is_being_made_is_left_alone(weeks: Weeks) -> None:
    removal = planned(weeks)["lora 1"]
    with weeks.store.turn("lora_model"):
        assert remove(weeks.store, removal, LATER) == "another process is writing beside it"
    assert weeks.store.find("lora_model", removal.folder.name) is not None


def test_what_became_current_since_it_was_listed_stays(weeks: Weeks) -> None:
    removal = planned(weeks)["lora 1"]
    weeks.store.select(next(a for a, _ in weeks.store.everything() if a.data_version == "lora 1"))
    assert remove(weeks.store, removal, LATER) == "it has been used since it was listed"
    assert list(removal.folder.rglob("*.safetensors"))


def test_what_something_current_was_made_from_since_it_was_listed_stays(weeks: Weeks) -> None:
    removal = planned(weeks)["lora 1"]
    weeks.write("evaluation_scores", "scores", inputs={"lora": "lora 1"})
    assert remove(weeks.store, removal, LATER) == "it has been used since it was listed"
    assert list(removal.folder.rglob("*.safetensors"))


def left_behind(weeks: Weeks) -> Path:
    """What an interrupted run left of an adapter, untouched for long."""
    draft = weeks.store.unfinished("lora_model", "f" * 16)
    (draft / "checkpoints").mkdir(parents=True)
    (draft / "checkpoints" / "state").write_bytes(b"x" * 100)
    for path in (draft / "checkpoints" / "state", draft / "checkpoints", draft):
        os.utime(path, (0, 0))
    return draft


def test_a_draft_that_a_run_went_on_with_since_it_was_listed_stays(weeks: Weeks) -> None:
    draft, recent = left_behind(weeks), datetime.now(UTC) - timedelta(days=1)
    [removal] = [removal for removal in removals(weeks.store, recent) if removal.folder == draft]
    (draft / "checkpoints" / "state").touch()
    assert remove(weeks.store, removal, recent) == "it has been used since it was listed"
    assert draft.is_dir()


def test_a_draft_that_a_run_finished_since_it_was_listed_is_no_error(weeks: Weeks) -> None:
    draft = left_behind(weeks)
    [removal] = [removal for removal in removals(weeks.store, LATER) if removal.folder == draft]
    draft.rename(draft.with_name("finished"))
    assert remove(weeks.store, removal, LATER) == "it has been used since it was listed"


def test_a_hidden_folder_of_a_complete_output_is_no_draft(weeks: Weeks) -> None:
    hidden = weeks.store.current("lora_model").folder / ".cache"
    hidden.mkdir()
    os.utime(hidden, (0, 0))
    assert hidden not in [removal.folder for removal in removals(weeks.store, LATER)]
