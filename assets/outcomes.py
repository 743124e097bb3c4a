"""What became of the questions that a step asked, for its facts and its metadata."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from resources.language_models.roles import LanguageModels
from teams_dagster.core.markdown import markdown_table
from teams_dagster.ledger.costs import outcomes_of_step
from teams_dagster.llm.engine import CallContext

OUTCOMES = "outcomes"
"""The fact that holds, by purpose, how many questions were asked and kept, and why the others were not."""


def outcome_facts(models: LanguageModels, where: CallContext) -> dict[str, Any]:
    """The fact `OUTCOMES` of the step `where`, by its own questions on the ledger."""
    with models.ledger.open() as ledger:
        return {OUTCOMES: outcomes_of_step(ledger, where.run_id, where.asset_key, where.partition_key)}


def outcome_metadata(facts: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """Asked, kept and each cause that occurred, as a table; nothing where an output does not have it."""
    found: Mapping[str, Any] = facts.get(OUTCOMES, {})
    if not found:
        return {}
    causes = sorted({cause for counts in found.values() for cause in counts["causes"]})
    rows = [
        (purpose, counts["asked"], counts["kept"], *(counts["causes"].get(cause, 0) for cause in causes))
        for purpose, counts in found.items()
    ]
    return {"outcomes": dg.MetadataValue.md(markdown_table(("question", "asked", "kept", *causes), rows))}
