"""`teams lineage`: how a sample came about, and what something touched."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from teams_dagster.cli.project import naming_folder, open_settings, open_store, project_ledger, say, what_is_lost
from teams_dagster.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from teams_dagster.lineage.forward import ForwardLineage
    from teams_dagster.lineage.records import Lineage
    from teams_dagster.store.read_model import RefreshReport

T = TypeVar("T")
_FOLLOWED = ("seed_instructions", "trained_policy", "generated_instructions", "expert_responses", "instruction_dataset")
"""The assets whose outputs tell how a sample came about."""


@click.command()
@click.argument("sample", required=False)
@click.option(
    "--from",
    "start",
    metavar="KIND=VALUE",
    help="What something touched: a seed, operation, prompt, policy, model or query, such as operation=deepening.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to step through the sample (or what --from finds) to this file.",
)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Samples that --from lists.")
@click.option("--whole", is_flag=True, help="Texts in full.")
def lineage(sample: str | None, start: str | None, as_json: bool, html: Path | None, limit: int, whole: bool) -> None:
    """Which actions made SAMPLE (the beginning of its id is enough), or what something touched (--from)."""
    from teams_dagster.lineage.forward import forward_lineage
    from teams_dagster.lineage.trace import NotFound, trace
    from teams_dagster.lineage.tree import forward_lines, lineage_lines

    if (sample is None) == (start is None):
        raise click.UsageError("give the id of a sample, or --from KIND=VALUE")
    settings = open_settings()

    def look_up(connection: "duckdb.DuckDBPyConnection") -> "tuple[Lineage | ForwardLineage, list[str], list[str]]":
        if sample is not None:
            found = trace(connection, sample)
            return found, [found.sample_id] if found.sample_id else [], lineage_lines(found, whole=whole)
        kind, equals, value = (start or "").partition("=")
        if not equals or not value:
            raise click.UsageError(f"--from {start!r} must be KIND=VALUE, such as operation=deepening")
        touched = forward_lineage(connection, kind, value, most=None if as_json or html else limit)
        ids = [each.sample_id for each in touched.shown if each.accepted is not None]
        return touched, ids, forward_lines(touched)

    try:
        report = _refreshed(settings)
        found, ids, lines = _read(settings, lambda path: _connected(path, look_up))
    except NotFound as error:
        if lost := [name for name in what_is_lost(settings) if name.split()[0] in _FOLLOWED]:
            asked = start or f"sample {sample}"
            gone = f"{asked} cannot be followed while the outputs of {', '.join(lost)} are gone"
            raise click.ClickException(gone) from None
        raise click.ClickException(str(error)) from None
    if html is not None:
        _write_page(settings, html, ids, report.head)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1, default=str))
    elif html is None:
        say("\n".join(lines))


def _read_model(settings: Settings) -> Path:
    return settings.data_dir / "teams.duckdb"


def _refreshed(settings: Settings) -> "RefreshReport":
    """Bring teams.duckdb up to date. Raises ClickException for nothing to read."""
    import duckdb

    from teams_dagster.ledger.database import LedgerError
    from teams_dagster.store.artefacts import stored_artefacts
    from teams_dagster.store.damage import ArtefactDamaged
    from teams_dagster.store.read_model import UP_TO_DATE, refresh

    path = _read_model(settings)
    try:
        with project_ledger(settings) as ledger:
            if ledger is None:
                raise click.ClickException(f"nothing was asked yet in {settings.data_dir}: run `make demo` first")
        open_store(settings)
        with naming_folder("TEAMS_DATA_DIR", settings.data_dir):
            report = refresh(settings.ledger_url, stored_artefacts(settings.data_dir), path)
    except (LedgerError, ArtefactDamaged, duckdb.IOException) as error:
        raise click.ClickException(str(error)) from None
    if report.links:
        _record(settings, report)
    if not report.published and report.reason != UP_TO_DATE:
        say(f"{path} is behind: {report.reason}", err=True)
    return report


def _read(settings: Settings, read: Callable[[Path], T]) -> T:
    """What `read` gives of teams.duckdb, which is made again where it is damaged. Raises ClickException."""
    import duckdb

    from teams_dagster.store.publishing import NotNow, read_whole

    path = _read_model(settings)
    try:
        return read_whole(path, lambda: read(path), lambda: _refreshed(settings))
    except (duckdb.IOException, NotNow) as error:
        raise click.ClickException(str(error)) from None


def _connected(path: Path, look_up: "Callable[[duckdb.DuckDBPyConnection], T]") -> T:
    import duckdb

    with duckdb.connect(path, read_only=True) as connection:
        return look_up(connection)


def _record(settings: Settings, report: "RefreshReport") -> None:
    """Record the chain's head, for this command sealed something. Loads Dagster, which it seldom needs."""
    import dagster as dg

    from resources.ledger import record_head
    from teams_dagster.cli.project import prepare_home

    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        record_head(instance, report)


def _write_page(settings: Settings, target: Path, sample_ids: list[str], head: str) -> None:
    from teams_dagster.lineage.explorer.columns import ExplorerError
    from teams_dagster.lineage.explorer.page import ExplorerFacts, write_explorer
    from teams_dagster.store.artefacts import read_manifest, stored_artefacts

    if not sample_ids:
        raise click.ClickException("no sample was made of it: a page shows samples")
    manifests = [read_manifest(stored.folder) for stored in stored_artefacts(settings.data_dir) if stored.current]
    verified = next((found["facts"] for found in manifests if found["asset_key"] == "sample_lineage"), None)
    rows, others = (verified["rows_verified"], verified["not_verified"]) if verified else (0, dict[str, int]())
    about = ExplorerFacts(settings.data_dir.name, rows, others, head or None, None)
    try:
        report = _read(settings, lambda path: write_explorer(path, target, about=about, sample_ids=sample_ids))
    except ExplorerError as error:
        raise click.ClickException(str(error)) from None
    say(f"{target}: {report.samples:,} samples, {report.file_bytes / 1e6:.1f} MB", err=True)
