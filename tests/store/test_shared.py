"""Artefacts that several machines share in object storage: each has what any of them made, whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.artefacts import CLEANED, store_id, stored_artefacts
from teams_dagster.store.shared import SharedArtefacts, SharedArtefactsFailed
from teams_dagster.store.tables import MANIFEST
from tests.support.object_storage import URL


class Machine:
    """A data folder of its own."""

    def __init__(self, folder: Path, url: str | None = URL) -> None:
        self.store = ArtefactStore(str(folder), url)
        self.folder = folder

    def make(self, text: str, fingerprint: str = "f1", week: str | None = None) -> Artefact:
        about = {"inputs": {}, "config": {}, "made_at": "2026-11-02T00:00:00", "run_id": "run", "code_version": "1"}
        with (
            self.store.turn("asset", week),
            self.store.writing("asset", fingerprint, week, about=about) as draft,
        ):
            (draft.folder / "files").mkdir()
            (draft.folder / "files" / "rows.txt").write_text(text, encoding="utf-8")
            draft.finish(f"version of {text}", {"rows": 1})
        return self.store.current("asset", week)

    def reads(self, week: str | None = None) -> str:
        self.store.synchronise()
        return (self.store.current("asset", week).path("files") / "rows.txt").read_text(encoding="utf-8")


@pytest.fixture
def one(tmp_path: Path, storage: fsspec.AbstractFileSystem) -> Machine:
    return Machine(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path, one: Machine) -> Machine:
    return Machine(tmp_path / "other")


def test_what_one_machine_made_another_has_whole(one: Machine, other: Machine) -> None:
    one.make("a")
    one.make("b", week="2026-11-02")
    assert (other.reads(), other.reads("2026-11-02")) == ("a", "b")
    assert other.store.current("asset").manifest == one.store.current("asset").manifest
    assert other.store.current("asset").changed_files() == []
    assert [f.current for f in stored_artefacts(other.folder)] == [True, True]


def test_the_last_one_selected_is_current_everywhere_and_the_earlier_one_kept(one: Machine, other: Machine) -> None:
    one.make("a")
    assert other.reads() == "a"
    other.make("b", "f2")
    assert one.reads() == "b"
    one.store.synchronise()
    one.store.select(one.store.all_of("asset")[0])
    assert other.reads() == "a"
    assert len(other.store.all_of("asset")) == 2


def test_an_output_made_again_with_force_has_the_next_name_on_both(one: Machine, other: Machine) -> None:
    one.make("a")
    other.make("b")
    assert [made.folder.name for made in other.store.all_of("asset")] == ["f1", "f1.2"]
    assert one.reads() == "b"


def test_two_machines_that_publish_at_once_take_two_names(one: Machine, other: Machine, tmp_path: Path) -> None:
    """Neither has heard of the other when it publishes."""
    one.store.synchronise()
    other.store.synchronise()
    names = []
    for machine in (one, other):
        draft = tmp_path / f"draft of {machine.folder.name}"
        draft.mkdir()
        (draft / MANIFEST).write_text("{}", encoding="utf-8")
        place = machine.store.place("asset")
        names.append(SharedArtefacts(URL, machine.folder).publish(draft, place, iter(["f1", "f1.2"])))
    assert names == ["f1", "f1.2"]


def test_what_was_made_before_it_was_shared_is_brought_there(tmp_path: Path, one: Machine, other: Machine) -> None:
    alone = Machine(one.folder, None)
    alone.make("a")
    assert one.reads() == "a"
    assert other.reads() == "a"


def test_an_output_of_which_files_were_cleaned_is_shared_as_it_is(one: Machine, other: Machine) -> None:
    alone = Machine(one.folder, None)
    made = alone.make("a")
    (made.folder / "files" / "rows.txt").unlink()
    (made.folder / CLEANED).write_text(json.dumps({"files": made.manifest["files"]}), encoding="utf-8")
    one.store.synchronise()
    other.store.synchronise()
    assert [made.folder.name for made in other.store.all_of("asset")] == ["f1"]


def test_an_upload_that_broke_off_is_no_artefact(
    one: Machine, other: Machine, storage: fsspec.AbstractFileSystem
) -> None:
    one.make("a")
    storage.rm(f"bucket/project/assets/asset/f1/{MANIFEST}")
    other.store.synchronise()
    assert other.store.all_of("asset") == []
    assert not other.store.exists("asset")


def test_a_file_that_is_not_what_its_manifest_says_is_not_taken(
    one: Machine, other: Machine, storage: fsspec.AbstractFileSystem
) -> None:
    one.make("a")
    storage.pipe_file("bucket/project/assets/asset/f1/files/rows.txt", b"b")
    with pytest.raises(SharedArtefactsFailed, match=r"asset/f1/files/rows\.txt at TEAMS_ARTEFACTS_URL"):
        other.store.synchronise()
    assert other.store.all_of("asset") == []


def test_another_projects_artefacts_are_refused(one: Machine, tmp_path: Path) -> None:
    one.make("a")
    stranger = Machine(tmp_path / "stranger", None)
    stranger.make("b")
    store_id(stranger.folder)
    with pytest.raises(SharedArtefactsFailed, match="another project"):
        replace(stranger.store, shared_url=URL).synchronise()


def test_two_outputs_of_one_name_are_refused(one: Machine, other: Machine) -> None:
    one.make("a")
    other.store.synchronise()
    apart = Machine(other.folder, None)
    (other.folder / "assets" / "asset" / "f1").rename(other.folder / "gone")
    (other.folder / "assets" / ".shared").unlink()
    apart.make("b")
    with pytest.raises(SharedArtefactsFailed, match="two machines made it apart"):
        other.store.synchronise()


def test_storage_that_cannot_be_reached_is_said_with_its_setting(one: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = SharedArtefacts("s3://no-such-bucket/project", one.folder)
    with pytest.raises(SharedArtefactsFailed, match="TEAMS_ARTEFACTS_URL s3://no-such-bucket/project cannot be"):
        lost.synchronise()


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SharedArtefactsFailed, match="install teams-dagster"):
        SharedArtefacts("gs://bucket/project", tmp_path).synchronise()
