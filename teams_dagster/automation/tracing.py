"""The job `trace_sample`: the command `teams lineage` in the UI."""

from pathlib import Path

import dagster as dg
import duckdb
from pydantic import Field

from assets.materialize import to_metadata
from resources.ledger import LedgerConnection
from teams_dagster.lineage.records import Lineage
from teams_dagster.lineage.trace import trace
from teams_dagster.lineage.tree import lineage_details


class TracedSample(dg.Config):
    """Which sample."""

    sample_id: str = Field(description="The sample's id, or the beginning of it: six characters or more.")


@dg.op(description="Look a sample's lineage up, and log it as an observation of expert_responses.")
def look_up_sample(context: dg.OpExecutionContext, config: TracedSample, ledger: LedgerConnection) -> None:
    """Raises NotFound for an id that nothing has."""
    ledger.refresh(context.instance)

    def look_up(path: Path) -> Lineage:
        with duckdb.connect(path, read_only=True) as connection:
            return trace(connection, config.sample_id)

    found = ledger.read(context.instance, look_up)
    context.log_event(
        dg.AssetObservation(
            asset_key="expert_responses",
            partition=found.partition_key,
            description=f"How sample {found.sample_id or found.transition_id} came about",
            metadata=to_metadata(lineage_details(found)),
        )
    )


@dg.job(  # pyright: ignore[reportUnknownMemberType] (Dagster's own)
    executor_def=dg.in_process_executor,
    description="Which actions made a sample: logged among the events of expert_responses. Asks and makes nothing.",
)
def trace_sample() -> None:
    """The command `teams lineage` in the UI."""
    look_up_sample()
