"""A sample's lineage as metadata of an event."""

from __future__ import annotations

from teams_dagster.core.metadata import Details, Table
from teams_dagster.lineage.records import Lineage, Step


def lineage_details(found: Lineage) -> Details:
    """The chain from the seed, the queries, the answer, and what the sample went into."""
    seed, answer = found.seed, found.answer
    start = ("-", "seed", "", "", "", seed.get("text", "-"))
    asked = [(q.purpose, q.role, f"{q.provider}/{q.model}", q.outcome or q.status, q.request_id) for q in found.queries]
    answers = [(answer.reason or "yes", answer.response or "-")] if answer else []
    return {
        "seed": f"{seed['seed_id']}, row {seed['row']} of {seed['source']}" if seed else "not stored",
        "chain": Table(
            ("step", "operation", "probability", "outcome", "reward", "text"), [start, *map(_step, found.chain)]
        ),
        "queries": Table(("for", "role", "model", "outcome", "request"), asked),
        "answer": Table(("kept", "text"), answers),
        "policy": found.chain[-1].policy_version,
        "datasets": ", ".join(f"{version} ({split})" for version, split in found.datasets) or "none",
        "adapters": ", ".join(f"{kind} {model}" for kind, model, _ in found.adapters) or "none",
        "cost_nano_usd": "not known" if found.cost_nano_usd is None else found.cost_nano_usd,
    }


def _step(step: Step) -> tuple[object, ...]:
    return (
        step.step,
        step.operation,
        f"{step.probability:.3f}",
        "accepted" if step.accepted else step.eliminated_by or step.verdict or "not accepted",
        f"{step.reward:.3f}",
        step.text_after or "-",
    )
