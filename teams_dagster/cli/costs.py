"""`teams costs`: the account of every query, and of every kept pair."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import click

from teams_dagster.cli.project import naming_folder, open_settings, open_store, project_ledger, say
from teams_dagster.dataset.pair_costs import PAIR_COLUMNS, PairCost, stored_pair_costs
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.costs import COLUMNS, DAY, Cost, costs_by, total_cost
from teams_dagster.ledger.database import LedgerError
from teams_dagster.ledger.writer import Ledger
from teams_dagster.report.terminal import account_lines, baseline_line, budget_lines, known_cost, pair_lines
from teams_dagster.store.artefact_store import ArtefactStore

STEP = "step"
"""A column of pairs alone: the ledger knows no step."""


@click.command()
@click.option(
    "--by",
    default="role",
    show_default=True,
    help=f"Columns, separated by commas: {', '.join(COLUMNS)}; {', '.join(PAIR_COLUMNS)} also tell the cost per kept"
    " pair.",
)
@click.option("--where", "wanted", multiple=True, metavar="COLUMN=VALUE", help="Only these rows (may be repeated).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table; money in nano-dollars.")
def costs(by: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """The account of every query, by any column, straight from the ledger; and what each kept pair cost."""
    settings = open_settings()
    columns = list(dict.fromkeys(column.strip() for column in by.split(",") if column.strip()))
    try:
        where = _conditions(wanted)
        with naming_folder("TEAMS_DATA_DIR", settings.data_dir), project_ledger(settings) as ledger:
            of_pairs = STEP in {*columns, *where}
            found = costs_by(ledger, columns, where) if ledger and not of_pairs else []
            whole = total_cost(ledger) if ledger else Cost({})
            spent = ledger.spent() if ledger else Spent()
            pairs = _pairs(ledger, open_store(settings), columns, where) if ledger else []
    except (ValueError, LedgerError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        content = {"costs": [asdict(cost) for cost in found], "total": asdict(whole), "spent": asdict(spent)}
        content |= {"pairs": [asdict(cost) for cost in pairs], "budget": asdict(settings.budget)}
        click.echo(json.dumps(content, indent=1))
        return
    total = f"total: {whole.asked:,} queries, {whole.calls:,} attempts, {known_cost(whole)}"
    tables = [account_lines(found, columns) if found or not pairs else [], pair_lines(pairs, columns)]
    lines = [
        *(line for lines in tables if lines for line in (*lines, "")),
        total,
        *budget_lines(spent, settings.budget),
        baseline_line(whole.asked),
    ]
    say("\n".join(lines))


def _pairs(ledger: Ledger, store: ArtefactStore, columns: list[str], where: Mapping[str, str | None]) -> list[PairCost]:
    """What pairs cost, where every column is one that they are told apart by. Raises ValueError for `step` beside
    another one."""
    own, others = [c for c in (*columns, *where) if c in PAIR_COLUMNS], [*columns, *where]
    if not columns or len(own) < len(others):
        if STEP in others:
            raise ValueError(
                f"{STEP} tells kept pairs apart, which have {', '.join(PAIR_COLUMNS)} and no other column: leave out"
                f" {', '.join(name for name in others if name not in PAIR_COLUMNS) or 'it'}"
            )
        return []
    return stored_pair_costs(store, ledger).by(columns, where)


def _conditions(wanted: Iterable[str]) -> dict[str, str | None]:
    """`column=value` as a mapping; an empty value stands for none. Raises ValueError."""
    conditions: dict[str, str | None] = {}
    for condition in wanted:
        column, equals, value = condition.partition("=")
        if not equals:
            raise ValueError(f"--where {condition!r} must be COLUMN=VALUE, such as asset_key=generated_instructions")
        column, value = column.strip(), value.strip()
        if column in conditions:
            raise ValueError(f"--where {column}=... is given twice: rows have one {column}, so give one value")
        if column == DAY and not value:
            raise ValueError(f"--where {condition!r} names no day: write day=YYYY-MM-DD")
        conditions[column] = value or None
    return conditions
