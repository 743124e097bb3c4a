"""A part of a stored dataset in a folder of its own: whole or not at all, described as it is."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from teams_dagster.core.files import file_sha256
from teams_dagster.dataset import copying
from teams_dagster.dataset.copying import CopyRefused, Part, StoredDataset, copy_dataset
from teams_dagster.dataset.croissant import CROISSANT
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.formats import Format
from teams_dagster.dataset.provenance import LINEAGE, write_provenance
from teams_dagster.dataset.splits import SPLITS
from tests.support.chains import Chain, sample_ids, write_generation, write_members
from tests.support.datasets import CARD, ROWS

ALL = Part(tuple(Format), SPLITS)
CHAINS = (Chain(0, (("breadth", None, True), ("deepening", 0, True))),)


def free(requests: Collection[str]) -> dict[str, int | None]:
    return dict.fromkeys(requests, 0)


@pytest.fixture
def stored(tmp_path: Path) -> StoredDataset:
    folder = tmp_path / "stored"
    export_dataset(folder / "files", ROWS)
    members = write_members(tmp_path, dict(zip(sample_ids(CHAINS), ("train", "held_out"), strict=True)))
    write_provenance(folder / LINEAGE, members, [write_generation(tmp_path, CHAINS)], free)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return StoredDataset(folder, {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}, CARD)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def described(folder: Path) -> set[str]:
    return {file["@id"] for file in json.loads((folder / CROISSANT).read_bytes())["distribution"]}


def test_everything_is_copied_as_it_is(stored: StoredDataset, tmp_path: Path) -> None:
    copied = copy_dataset(stored, ALL, tmp_path / "new" / "export")
    assert (
        set(copied) == names(tmp_path / "new" / "export") == names(stored.folder / "files") | {"README.md", CROISSANT}
    )
    for path in (stored.folder / "files").iterdir():
        assert (tmp_path / "new" / "export" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("form", Format)
def test_metadata_describes_the_part_that_was_taken(stored: StoredDataset, tmp_path: Path, form: Format) -> None:
    copy_dataset(stored, Part((form,), ("validation",)), tmp_path / "export")
    assert names(tmp_path / "export") == {form.file_name("validation"), "README.md", CROISSANT}
    assert described(tmp_path / "export") == {form.file_name("validation")}
    card = (tmp_path / "export" / "README.md").read_text(encoding="utf-8")
    assert form.file_name("validation") in card.split("---")[1]
    assert "| train |" not in card


@pytest.mark.parametrize(("splits", "kept"), [(SPLITS, ["train", "held_out"]), (("held_out",), ["held_out"])])
def test_lineage_is_that_of_the_splits_taken(stored: StoredDataset, tmp_path: Path, splits, kept: list[str]) -> None:
    copy_dataset(stored, Part((Format.CHAT,), splits, lineage=True), tmp_path / "export")
    assert pq.read_table(tmp_path / "export" / LINEAGE)["split"].to_pylist() == kept
    assert LINEAGE in described(tmp_path / "export")


def test_an_empty_folder_is_taken(stored: StoredDataset, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    copy_dataset(stored, ALL, tmp_path / "export")
    assert CROISSANT in names(tmp_path / "export")


def test_a_folder_with_something_in_it_is_left_alone(stored: StoredDataset, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine.txt").write_text("mine")
    with pytest.raises(CopyRefused, match=r"is not empty.*--force"):
        copy_dataset(stored, ALL, tmp_path / "export")
    assert names(tmp_path / "export") == {"mine.txt"}


def test_replacing_takes_away_an_earlier_export_and_nothing_else(stored: StoredDataset, tmp_path: Path) -> None:
    copy_dataset(stored, ALL, tmp_path / "export")
    (tmp_path / "export" / "mine.txt").write_text("mine")
    part = Part((Format.PARQUET,), ("train",))
    assert copy_dataset(stored, part, tmp_path / "export", replace=True) == ["README.md", CROISSANT, "train.parquet"]
    assert names(tmp_path / "export") == {"mine.txt", "train.parquet", "README.md", CROISSANT}
    assert described(tmp_path / "export") == {"train.parquet"}


def test_a_file_is_no_folder(stored: StoredDataset, tmp_path: Path) -> None:
    (tmp_path / "export").write_text("mine")
    with pytest.raises(CopyRefused, match="is a file"):
        copy_dataset(stored, ALL, tmp_path / "export", replace=True)


@pytest.mark.parametrize(
    ("harm", "message"),
    [(lambda path: path.write_text("changed"), "was changed"), (lambda path: path.unlink(), "is gone")],
)
def test_a_dataset_that_is_not_what_it_was_leaves_nothing_behind(
    stored: StoredDataset, tmp_path: Path, harm, message: str
) -> None:
    before = names(tmp_path)
    harm(stored.folder / "files" / "train.parquet")
    with pytest.raises(CopyRefused, match=message):
        copy_dataset(stored, ALL, tmp_path / "export")
    assert names(tmp_path) == before


def test_a_copy_that_is_cut_off_leaves_the_folder_as_it_was(
    stored: StoredDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    copy_dataset(stored, Part((Format.CHAT,), ("train",)), tmp_path / "export")
    before = {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()}
    monkeypatch.setattr(copying, "describe_folder", cut_off)
    with pytest.raises(KeyboardInterrupt):
        copy_dataset(stored, ALL, tmp_path / "export", replace=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()} == before
