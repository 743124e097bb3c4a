"""`teams export`: the dataset, or a part of it, in a folder of its own."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teams_dagster.cli.project import naming_folder, open_settings, open_store, say, say_what_is_lost
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.copying import CopyRefused, Part, StoredDataset, copy_dataset
from teams_dagster.dataset.export import FILES
from teams_dagster.dataset.formats import Format, Thoughts
from teams_dagster.dataset.preferences import PREFERENCE, preference_file
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.settings import Settings

if TYPE_CHECKING:
    from teams_dagster.store.artefact_store import Artefact

FORMATS = (*(form.value for form in Format), PREFERENCE, "all")
KEY = "instruction_dataset"


@click.command()
@click.option("--format", "form", type=click.Choice(FORMATS), default="all", show_default=True)
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--split", "splits", multiple=True, type=click.Choice(SPLITS), help="Only this one (may be repeated).")
@click.option("--version", help="The dataset of this version instead of the current one.")
@click.option("--lineage", is_flag=True, help="With where each row comes from (lineage.parquet).")
@click.option(
    "--reasoning",
    "thoughts",
    type=click.Choice([way.value for way in Thoughts]),
    default=Thoughts.FIELD.value,
    show_default=True,
    help="Where thoughts stand, where there are some: `reasoning_content`; a <think> block before the answer; nowhere.",
)
@click.option("--force", is_flag=True, help="Replace an earlier export in the folder; other files in it stay.")
def export(
    form: str,
    target: Path,
    splits: tuple[Split, ...],
    version: str | None,
    lineage: bool,
    thoughts: str,
    force: bool,
) -> None:
    """The dataset for other tools: Alpaca JSON, ShareGPT JSON, chat JSONL, Parquet, or preference pairs for TRL.

    A data card (README.md) and Croissant metadata (croissant.json) beside the files describe exactly these.
    """
    dataset = _stored(open_settings(), version)
    part = Part(
        formats=tuple(Format) if form == "all" else () if form == PREFERENCE else (Format(form),),
        splits=tuple(split for split in SPLITS if not splits or split in splits),
        lineage=lineage,
        preferences=form in (PREFERENCE, "all"),
        thoughts=Thoughts(thoughts),
    )
    try:
        names = copy_dataset(dataset, part, target, replace=force)
    except (CopyRefused, OSError) as error:
        raise click.ClickException(str(error)) from None
    say(f"{_rows(dataset, part, target):,} examples of dataset {dataset.card.dataset_version} in {target}:")
    say("\n".join(f"  {name}" for name in names))


def _rows(dataset: StoredDataset, part: Part, target: Path) -> int:
    """How many rows were exported: those of the splits, or of preferences alone."""
    if part.formats:
        return sum(dataset.card.examples[split] for split in part.splits)
    files = [target / preference_file(split) for split in part.splits]
    return sum(file.read_bytes().count(b"\n") for file in files if file.is_file())


def _stored(settings: Settings, version: str | None) -> StoredDataset:
    """The current dataset, or the one of this version. Raises ClickException."""
    artefact = _artefact(settings, version)
    try:
        card = DataCard.from_json((artefact.folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise click.ClickException(
            f"dataset {artefact.data_version} was made by an earlier version, which kept no facts to describe an export"
            f" with: run `teams demo` (or materialise {KEY}) to make it again, or take {artefact.folder / FILES}"
        ) from None
    return StoredDataset(artefact.folder, artefact.manifest["files"], card)


def _artefact(settings: Settings, version: str | None) -> "Artefact":
    from teams_dagster.store.artefact_store import ArtefactMissing
    from teams_dagster.store.damage import ArtefactDamaged

    with naming_folder("TEAMS_DATA_DIR", settings.data_dir):
        say_what_is_lost(settings)
        store = open_store(settings)
    try:
        if version is None:
            return store.current(KEY)
    except (ArtefactMissing, ArtefactDamaged) as missing:
        raise click.ClickException(
            f"there is no dataset to export: {missing} (`teams demo` makes everything)"
        ) from None
    stored = {artefact.data_version: artefact for artefact in store.all_of(KEY)}
    if version not in stored:
        raise click.ClickException(
            f"there is no dataset {version} in {settings.data_dir}; there are: {', '.join(stored) or 'none'}"
        )
    return stored[version]
