"""`teams costs`: the account of every query."""

import json
from collections.abc import Iterable
from dataclasses import asdict

import click

from teams_dagster.cli.project import naming_folder, open_settings, project_ledger, say
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.costs import COLUMNS, DAY, Cost, costs_by, total_cost
from teams_dagster.ledger.database import LedgerError
from teams_dagster.report.terminal import account_lines, baseline_line, budget_lines, known_cost


@click.command()
@click.option("--by", default="role", show_default=True, help=f"Columns, separated by commas: {', '.join(COLUMNS)}.")
@click.option("--where", "wanted", multiple=True, metavar="COLUMN=VALUE", help="Only these rows (may be repeated).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table; money in nano-dollars.")
def costs(by: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """The account of every query, by any column, straight from the ledger."""
    settings = open_settings()
    columns = list(dict.fromkeys(column.strip() for column in by.split(",") if column.strip()))
    try:
        with naming_folder("TEAMS_DATA_DIR", settings.data_dir), project_ledger(settings) as ledger:
            found = costs_by(ledger, columns, _conditions(wanted)) if ledger else []
            whole = total_cost(ledger) if ledger else Cost({})
            spent = ledger.spent() if ledger else Spent()
    except (ValueError, LedgerError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        content = {"costs": [asdict(cost) for cost in found], "total": asdict(whole), "spent": asdict(spent)}
        click.echo(json.dumps(content | {"budget": asdict(settings.budget)}, indent=1))
        return
    total = f"total: {whole.asked:,} queries, {whole.calls:,} calls, {known_cost(whole)}"
    lines = [
        *account_lines(found, columns),
        "",
        total,
        *budget_lines(spent, settings.budget),
        baseline_line(whole.asked),
    ]
    say("\n".join(lines))


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
