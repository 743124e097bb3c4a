"""What the report shows of the generations and the dataset, from their artefacts."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.generation_facts import FAILED, failures_of
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.dataset.scoring import SCORES, ratings_asked, scores_of
from teams_dagster.dataset.stored import answers_asked
from teams_dagster.ledger.costs import Cost
from teams_dagster.report import content
from teams_dagster.report.content import Stage, funnel_stages
from teams_dagster.report.pair_ratings import pair_ratings, scored_rows
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts, ResponseFacts, overlap_line

if TYPE_CHECKING:
    import duckdb

    from teams_dagster.policy.comparison.distinctness import Measure


def yield_funnel(store: ArtefactStore, answered: Sequence[Artefact], dropped: Mapping[str, int]) -> tuple[Stage, ...]:
    """The stages of these `expert_responses` together; `dropped` are the samples not in the dataset, by reason."""
    generated = [generated_for(store, responses) for responses in answered]
    return funnel_stages(
        sum(artefact.read_facts(GenerationFacts).transitions for artefact in generated),
        _added([_causes(artefact) for artefact in generated]),
        _added([responses.read_facts(ResponseFacts).refused for responses in answered]),
        dropped,
    )


def _causes(generated: Artefact) -> dict[str, int]:
    """Why transitions were not accepted; failed ones by what failed."""
    causes = dict(generated.read_facts(GenerationFacts).not_accepted)
    return causes | failures_of(generated) if causes.pop(FAILED, 0) else causes


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for group in counts:
        for name, count in group.items():
            total[name] = total.get(name, 0) + count
    return total


MAIN_LINE = (TRAINED_ARM.instructions, TRAINED_ARM.responses, SCORES)
"""The assets whose queries are a generation's: the uniform arm's have partitions too."""

CHAINS = 6
MEASURED = 12
"""Generations whose diversity is measured: the latest."""
MOST_TEXTS = 400
"""Texts of one set whose diversity is measured, drawn by a hash of their ids."""
FEW_TEXTS = 20
"""A set of fewer texts is not measured: all sets are measured at the size of the smallest."""
SUBSAMPLES = 10

_WORDS = "len(string_split_regex(trim({text} || ' ' || input), '\\s+'))"
_DRAWN = "qualify row_number() over (partition by name order by md5('diversity ' || id)) <= ?"


class MadeGeneration:
    """One generation's artefacts."""

    def __init__(self, store: ArtefactStore, partition: str) -> None:
        self.partition = partition
        self.responses = store.current("expert_responses", partition)
        self.generated = generated_for(store, self.responses)
        self.manifest = read_manifest(self.generated)
        self.scores = scores_of(store, self.responses)

    @property
    def queries(self) -> int:
        """Rewrites, reviews, every one of several answers, and ratings: paid or reused."""
        asked = self.generated.read_facts(GenerationFacts).questions
        answers = answers_asked(self.responses) * self.responses.read_facts(ResponseFacts).samples
        return asked + answers + (ratings_asked(self.scores) if self.scores else 0)


def dataset_results(
    store: ArtefactStore, generations: list[MadeGeneration], costs: Mapping[str, Sequence[Cost]]
) -> content.DatasetResults:
    """The dataset, how it came about, and a few of its samples; `costs` are the account, as `read_costs` gives it."""
    dataset = store.current("instruction_dataset")
    facts = dataset.read_facts(DatasetFacts)
    overlap = overlap_line(facts.overlap) if facts.overlap else ""
    if not generations:
        return content.DatasetResults(examples=facts.examples, overlap=overlap)
    with _views(dataset, generations) as tables:
        return content.DatasetResults(
            examples=facts.examples,
            overlap=overlap,
            funnel=yield_funnel(store, [g.responses for g in generations], facts.dropped),
            operations=tuple(_operations(tables)),
            lengths=tuple(_lengths(tables)),
            diversity_by_step=_diversity(_texts_by_step(tables)),
            generations=tuple(_generations(tables, generations, costs)),
            diversity_by_generation=_diversity(_texts_by_generation(tables, generations)),
            chains=tuple(_chains(generations[-1])),
            ratings=_ratings(generations, facts.min_score or 0.0, costs),
        )


def _ratings(
    generations: list[MadeGeneration], least: float, costs: Mapping[str, Sequence[Cost]]
) -> content.PairRatings | None:
    rows = (
        row for made in generations if made.scores for row in scored_rows(made.generated, made.responses, made.scores)
    )
    return pair_ratings(rows, least, costs.get("asset_key, purpose", ()))


@contextmanager
def _views(dataset: Artefact, generations: list[MadeGeneration]) -> Generator[duckdb.DuckDBPyConnection]:
    """DuckDB in bounded memory, with views `transitions`, `instructions` and `samples` of all generations; `kept` are
    the samples in the dataset."""
    files = {
        "transitions": [generation.generated.path("transitions.parquet") for generation in generations],
        "every_instruction": [generation.generated.path("instructions.parquet") for generation in generations],
        "samples": [generation.responses.path("samples.parquet") for generation in generations],
        "members": [dataset.path("dataset_samples.parquet")],
    }
    with scratch() as connection:
        for table, paths in files.items():
            names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
            connection.execute(f"create view {table} as select * from read_parquet([{names}])")
        connection.execute(
            "create view instructions as select instruction_id, any_value(text) as text, any_value(input) as input"
            " from every_instruction group by instruction_id"
        )
        connection.execute("create view kept as select * from samples semi join members using (sample_id)")
        yield connection


def _operations(tables: duckdb.DuckDBPyConnection) -> Iterator[content.OperationAtStep]:
    rows = tables.execute(
        "select step, operation, count(*), count(*) filter (accepted) from transitions group by all order by all"
    )
    for step, operation, chosen, accepted in rows.fetchall():
        yield content.OperationAtStep(step, operation, chosen, accepted)


def _lengths(tables: duckdb.DuckDBPyConnection) -> Iterator[content.LengthAtStep]:
    rows = tables.execute(
        f"""
        with texts as (
            select 0 as step, parent_id as id from transitions where step = 0
            union all select step + 1, instruction_id from transitions where accepted
        ), lengths as (
            select step, {_WORDS.format(text="text")} as n
            from texts join instructions on id = instructions.instruction_id
        )
        select step, count(*), quantile_cont(n, 0.1), quantile_cont(n, 0.5), quantile_cont(n, 0.9)
        from lengths group by step order by step
        """
    )
    for row in rows.fetchall():
        yield content.LengthAtStep(*row)


def _generations(
    tables: duckdb.DuckDBPyConnection, generations: list[MadeGeneration], costs: Mapping[str, Sequence[Cost]]
) -> Iterator[content.GenerationResults]:
    words = _WORDS.format(text="instruction")
    rows = tables.execute(
        f"""
        with lengths as (select partition_key, {words} as n from kept)
        select partition_key, count(*), quantile_cont(n, 0.1), quantile_cont(n, 0.5), quantile_cont(n, 0.9)
        from lengths group by partition_key
        """
    )
    kept = {partition: figures for partition, *figures in rows.fetchall()}
    paid = _costs(costs.get("asset_key, partition_key", ()))
    for generation in generations:
        count, *lengths = kept.get(generation.partition, (0, *[float("nan")] * 3))
        nano_usd, unpriced = paid.get(generation.partition, (0, 0))
        yield content.GenerationResults(
            generation.partition,
            generation.queries,
            nano_usd,
            unpriced,
            count,
            *lengths,
        )


def _costs(costs: Sequence[Cost]) -> dict[str, tuple[int, int]]:
    """Nano-dollars of every generation of the main line, and its calls without a price."""
    paid: dict[str, tuple[int, int]] = {}
    for cost in costs:
        if (partition := cost.group["partition_key"]) and cost.group["asset_key"] in MAIN_LINE:
            nano_usd, unpriced = paid.get(partition, (0, 0))
            paid[partition] = nano_usd + cost.cost_nano_usd, unpriced + cost.unpriced
    return paid


def _texts_by_step(tables: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return tables.execute(
        f"""
        with texts as (
            select distinct '0' as name, seed_id, parent_id as id from transitions where step = 0
            union all select distinct (step + 1)::varchar, seed_id, instruction_id from transitions where accepted
        ), drawn as (select * from texts {_DRAWN})
        select name, seed_id, text, input from drawn join instructions on id = instructions.instruction_id
        order by length(name), name, id, seed_id
        """,
        [MOST_TEXTS],
    ).fetchall()


def _texts_by_generation(tables: duckdb.DuckDBPyConnection, generations: list[MadeGeneration]) -> list[tuple[Any, ...]]:
    return tables.execute(
        f"""
        with drawn as (
            select partition_key as name, sample_id as id from kept
            where list_contains(?, partition_key) {_DRAWN}
        )
        select name, seed_id, instruction, input from drawn join kept on id = sample_id order by name, id
        """,
        [[generation.partition for generation in generations[-MEASURED:]], MOST_TEXTS],
    ).fetchall()


def _diversity(rows: Sequence[tuple[Any, ...]]) -> tuple[Measure, ...]:
    """How distinct the texts of each set are; rows of (set, seed id, text, input)."""
    from teams_dagster.policy.comparison.distinctness import distinctness

    sets: dict[str, dict[str, list[Instruction]]] = {}
    for name, seed_id, text, text_input in rows:
        sets.setdefault(name, {}).setdefault(seed_id, []).append(Instruction(text, text_input))
    enough = {name: texts for name, texts in sets.items() if sum(map(len, texts.values())) >= FEW_TEXTS}
    return distinctness(enough, subsamples=SUBSAMPLES).measures


def _chains(latest: MadeGeneration) -> Iterator[content.Chain]:
    """The longest chains of the latest generation that ended in a kept sample, one from each seed."""
    chosen = _last_samples(latest.responses, CHAINS)
    wanted = {row["episode_id"] for row in chosen}
    episodes: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(latest.generated, "transitions", "episode_id", wanted):
        episodes.setdefault(row["episode_id"], []).append(row)
    steps = [row for rows in episodes.values() for row in rows]
    named = {row[column] for row in steps for column in ("parent_id", "instruction_id")} - {None}
    texts = {
        row["instruction_id"]: Instruction(row["text"], row["input"])
        for row in _rows(latest.generated, "instructions", "instruction_id", named)
    }
    for sample in chosen:
        steps = [row for row in episodes[sample["episode_id"]] if row["step"] <= sample["step"]]
        yield content.Chain(
            sample_id=sample["sample_id"],
            seed_id=sample["seed_id"],
            partition_key=latest.partition,
            seed=texts[steps[0]["parent_id"]],
            edits=tuple(_edit(row, texts) for row in steps if row["operation"] != "none"),
            response=sample["response"],
        )


def _last_samples(responses: Artefact, most: int) -> list[dict[str, Any]]:
    """The last kept sample of each episode, of those with the most steps; the texts of these alone are read."""
    columns = ["sample_id", "episode_id", "step"]
    kept = pq.read_table(responses.path("samples.parquet"), columns=columns, filters=[("accepted", "=", True)])
    batches = kept.sort_by([("step", "descending"), ("sample_id", "ascending")]).to_batches(1_000)
    chosen: dict[str, str] = {}
    for row in (row for batch in batches for row in batch.to_pylist()):
        chosen.setdefault(row["episode_id"], row["sample_id"])
        if len(chosen) == most:
            break
    found = {row["sample_id"]: row for row in _rows(responses, "samples", "sample_id", set(chosen.values()))}
    return [found[sample_id] for sample_id in chosen.values()]


def _rows(artefact: Artefact, table: str, column: str, wanted: set[str]) -> list[dict[str, Any]]:
    """The rows of a table whose `column` is one of `wanted`."""
    return pq.read_table(artefact.path(f"{table}.parquet"), filters=[(column, "in", wanted)]).to_pylist()


def _edit(row: dict[str, Any], texts: dict[str, Instruction]) -> content.Edit:
    return content.Edit(
        step=row["step"],
        operation=row["operation"],
        probability=row["probability"],
        after=texts.get(row["instruction_id"]),
        accepted=row["accepted"],
        reason=row["eliminated_by"] or row["verdict"] or "",
        reward=row["reward"],
    )
