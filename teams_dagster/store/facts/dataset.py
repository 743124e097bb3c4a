"""Facts of seeds, of generations, of the answers to them, and of the datasets made of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.metadata import Detail, Json, Table
from teams_dagster.store.facts.base import Facts, Hidden, QueryFacts, Shown

ROW_COUNT = "dagster/row_count"


class OperationCounts(BaseModel):
    """How often a generation chose an operation."""

    model_config = ConfigDict(frozen=True)

    chosen: int
    accepted: int
    """Of those, the edits that were accepted."""


def _operations_table(operations: dict[str, OperationCounts]) -> Table:
    rows = [(name, counts.chosen, counts.accepted) for name, counts in sorted(operations.items())]
    return Table(("operation", "chosen", "accepted"), rows)


class GenerationFacts(QueryFacts):
    """Facts of `generated_instructions` and `uniform_instructions`."""

    transitions: Annotated[int, Shown(ROW_COUNT)]
    accepted: int
    """Accepted transitions."""
    questions: int
    """Queries of its operations, rewrites and reviews, paid or reused."""
    operations: Annotated[dict[str, OperationCounts], Shown(form=_operations_table)]
    not_accepted: dict[str, int]
    """Transitions that were not accepted, by cause."""
    asking: Annotated[dict[str, int], Hidden()] = Field(default_factory=dict)
    """What its episodes asked in all: the forecast of the next generation reads it."""
    target_samples: int | None = None
    """The rows of the dataset that it was to bring, where it was played to a target."""
    target_kept: int | None = None
    """Those that it brings, as they were counted when it ended: the target at most."""
    curated: Annotated[int | None, Hidden()] = None
    """With those beyond the target."""
    target_missed: str | None = None
    """Why these are fewer, and what the target would take."""

    def shown(self) -> dict[str, Detail]:
        """With the share that is plotted over generations."""
        return super().shown() | {"accepted_per_query": self.accepted / max(1, self.questions)}


class ResponseFacts(QueryFacts):
    """Facts of `expert_responses` and `uniform_responses`."""

    samples: Annotated[int, Shown(ROW_COUNT)]
    """Kept and refused ones."""
    kept: int
    refused: dict[str, int]
    """Refused samples by reason."""
    reasoned: int = 0
    """Kept samples with what the expert thought before it answered."""
    target_samples: Annotated[int | None, Hidden()] = None
    """The rows of the dataset that its generation was to bring: what is beyond them is left out."""


class PairScoreFacts(QueryFacts):
    """Facts of `pair_scores`."""

    scored_by: str
    """`nobody`, `programs` or `judge`."""
    responses_version: Annotated[str, Hidden()]
    """The answers that were scored."""
    pairs: Annotated[int, Shown(ROW_COUNT)]
    """Pairs that were scored: each answer to an instruction is one."""
    without_score: int
    """Those of which neither the judge nor a program can tell anything."""
    broken: int
    """Those in which a program finds a constraint broken."""
    ratings: Annotated[dict[str, int], Shown(form=Json)] = Field(default_factory=dict)
    """What the judge said, counted."""
    judge: Annotated[dict[str, Any], Hidden()] = Field(default_factory=dict)
    """The identity of the model that rated; empty where none did."""
    gate_faults: Annotated[list[str], Shown("cannot_gate", form="; ".join)] = Field(default_factory=list)
    """Why these scores may not drop a pair: the judge's preflight failed."""


def overlap_line(overlap: dict[str, float]) -> str:
    """What held-out examples still share with training, as a sentence."""
    return (
        f"No held-out instruction has a near duplicate in training, and no response is one of training's; 13 words in a"
        f" row are shared with training by {overlap['instructions']:.1%} of held-out instructions and"
        f" {overlap['responses']:.1%} of responses."
    )


class DatasetFacts(Facts):
    """Facts of `instruction_dataset` and `uniform_dataset`."""

    samples: Annotated[int, Hidden()]
    """Samples that were read: those in the dataset and those dropped."""
    examples: Annotated[dict[str, int], Hidden()]
    """Examples on each side of the split."""
    seeds: Annotated[dict[str, int], Hidden()]
    """Seeds on each side of the split."""
    dropped: dict[str, int]
    """Samples that are not in the dataset, by reason."""
    generations: Annotated[list[str], Shown(form=", ".join)]
    """Partition keys of the generations that it holds."""
    pairs: Annotated[dict[str, int], Shown(form=Json)] = Field(default_factory=dict)
    """Examples on each side that people wrote (`TEAMS_PAIRS`)."""
    pairs_refused: Annotated[dict[str, int], Shown(form=Json)] = Field(default_factory=dict)
    """Rows of the file of pairs that are not used, by reason."""
    min_score: float | None = None
    """Pairs of a lower score were dropped; None where no threshold was set."""
    scoring: str | None = None
    """Who scored the pairs, in a sentence; None where no score was used."""
    short_of_target: Annotated[list[str], Shown(form="; ".join)] = Field(default_factory=list)
    """Generations that have fewer rows here than they were played for, and why."""
    reasoned: Annotated[dict[str, int], Shown(form=Json)] = Field(default_factory=dict)
    """Examples on each side with what was thought before their answer, where any has it."""
    overlap: Annotated[dict[str, float], Shown("held_out_overlap", form=overlap_line)] = Field(default_factory=dict)
    """Of held-out `instructions` and `responses`, the share with 13 words in a row of training's; nothing where an
    earlier version did not measure it."""

    def shown(self) -> dict[str, Detail]:
        """With the rows in all, and each side's as a number of its own."""
        return super().shown() | {ROW_COUNT: sum(self.examples.values()), **self.examples}


class SeedFacts(Facts):
    """Of `seed_instructions`."""

    seeds: Annotated[int, Shown("dagster/row_count")]
    refused: int
    """Rows of the file that became no seed."""
    with_input: int
    source: str
    """Name of the file."""
    scripts: dict[str, int]
    """Seeds by the script that they are written in."""
    sha256: Annotated[str, Hidden()]
    """Of the file's bytes."""
    clusters: Annotated[int, Hidden()]
    """Groups of near duplicates."""
