"""Where each row of the dataset comes from, as a table that travels with it: `lineage.parquet`, one row per sample.

Computed by DuckDB over the Parquet files that the stages left, one generation after the other, on disk where memory
does not suffice. Chains follow transition ids: the same text is reached on several paths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.files import replacing

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from teams_dagster.instructions.seeds import Seed

LINEAGE = "lineage.parquet"

ROWS_AT_ONCE = 20_000
SAMPLES_AT_ONCE = 50_000
"""Samples whose chains are followed together: those of some seeds."""
MEMORY = "1GB"
"""What DuckDB keeps in memory of a generation; the rest goes to disk."""

CostsOf = Callable[[Collection[str]], Mapping[str, int | None]]
"""What each of these billed requests cost, in nano-dollars: None where no price is known, absent where it is none."""


class ProvenanceError(ValueError):
    """Samples whose origin the stored files do not tell."""


@dataclass(frozen=True)
class Generation:
    """One generation with its answers: the files that its samples' origin is read from, and what its manifest says."""

    seeds: Path
    """Tables `seeds`, `transitions` and `samples`, these with the answers that the dataset takes."""
    transitions: Path
    samples: Path
    answers: Path
    """A row for each answer: the file of the samples where one was asked for."""
    expert: str
    """The model that rewrote and answered."""
    reviewer: str
    respond_prompt_version: str


@dataclass(frozen=True)
class Column:
    """A column of `lineage.parquet`."""

    name: str
    kind: pa.DataType
    description: str
    property: str | None = None
    """What it says of the sample, in another vocabulary (PROV-O, schema.org)."""
    nullable: bool = False


_TEXT, _INT, _TEXTS = pa.string(), pa.int64(), pa.list_(pa.string())

COLUMNS = (
    Column("sample_id", _TEXT, "The sample: a row of the dataset."),
    Column("split", _TEXT, "Its side of the split."),
    Column(
        "transition_id",
        _TEXT,
        "The rewriting that made its instruction, the last of its chain; NULL for a pair that people wrote.",
        "prov:wasGeneratedBy",
        nullable=True,
    ),
    Column(
        "seed_id", _TEXT, "The seed at the root of its chain, an instruction that people wrote.", "prov:wasDerivedFrom"
    ),
    Column("seed_source", _TEXT, "The file that the seed was read from.", "prov:hadPrimarySource"),
    Column("seed_row", _INT, "The seed's row in that file, counted from 1."),
    Column("seed_sha256", _TEXT, "SHA-256 of that file."),
    Column("operations", _TEXTS, "The operations of its chain, the first edited the seed."),
    Column("policy_version", _TEXT, "The policy that chose the operations.", "prov:wasAttributedTo", nullable=True),
    Column("expert", _TEXT, "The model that rewrote and answered.", "prov:wasAttributedTo", nullable=True),
    Column("reviewer", _TEXT, "The model that judged each rewriting.", "prov:wasInfluencedBy", nullable=True),
    Column("prompt_versions", _TEXTS, "The rewriting prompt of each operation.", "prov:wasInfluencedBy"),
    Column("review_prompt_versions", _TEXTS, "The reviewing prompt of each operation.", "prov:wasInfluencedBy"),
    Column("respond_prompt_version", _TEXT, "The prompt of the answer.", "prov:wasInfluencedBy", nullable=True),
    Column("rewrite_request_ids", _TEXTS, "The attempt that rewrote, of each operation.", "prov:wasGeneratedBy"),
    Column("review_request_ids", _TEXTS, "The attempt that judged, of each operation.", "prov:wasInfluencedBy"),
    Column(
        "turned_review_request_ids",
        _TEXTS,
        "The attempt that judged with the texts the other way round, of each operation; NULL where none was asked.",
        "prov:wasInfluencedBy",
    ),
    Column("respond_request_id", _TEXT, "The attempt that answered.", "prov:wasGeneratedBy", nullable=True),
    Column("partition_key", _TEXT, "The generation, by the week it began.", "prov:wasGeneratedBy", nullable=True),
    Column("run_id", _TEXT, "The Dagster run that wrote the answer down.", "prov:wasGeneratedBy", nullable=True),
    Column("dataset_version", _TEXT, "The dataset that the sample is in.", "sc:isPartOf"),
    Column(
        "cost_nano_usd",
        _INT,
        "What the answers of its chain, and all that were asked for to its instruction, cost in nano-dollars, whoever"
        " paid first; NULL where one has no known price."
        " Samples of one chain share answers, so a sum over samples counts these more than once.",
        nullable=True,
    ),
)

SCHEMA = pa.schema([pa.field(column.name, column.kind, nullable=column.nullable) for column in COLUMNS])
_COSTS = pa.schema({"request_id": pa.string(), "cost_nano_usd": pa.int64()})

_TAKEN = {
    "seeds": ("seed_id", "source", "row", "source_sha256"),
    "steps": (
        "transition_id",
        "seed_id",
        "parent_transition_id",
        "operation",
        "policy_version",
        "prompt_version",
        "review_prompt_version",
        "rewrite_request_id",
        "review_request_id",
        "turned_review_request_id",
    ),
    "samples": (
        "sample_id",
        "transition_id",
        "seed_id",
        "episode_id",
        "step",
        "partition_key",
        "respond_request_id",
        "run_id",
    ),
    "answers": ("sample_id", "respond_request_id"),
    "members": ("sample_id", "split", "dataset_version"),
}

_PAGES = """
with sizes as (select seed_id, count(*) as rows from members join samples using (sample_id) group by seed_id),
pages as (select seed_id, sum(rows) over (order by seed_id) // $rows as page from sizes)
select min(seed_id), max(seed_id) from pages group by page order by page
"""

_PAGE = """
create or replace table page as
select samples.*, split, dataset_version from members join samples using (sample_id)
where seed_id between $first and $last
"""

_CHAINS = """
create or replace table chains as
with recursive nearby as (select * from steps where seed_id between $first and $last),
above as (
    select sample_id, transition_id, 0 as hops_after from page
    union all
    select above.sample_id, nearby.parent_transition_id, above.hops_after + 1
    from above join nearby using (transition_id) where nearby.parent_transition_id is not null
)
select above.sample_id, above.hops_after, above.transition_id, nearby.* exclude (transition_id, seed_id)
from above left join nearby using (transition_id)
"""

_BROKEN = "select sample_id, transition_id from chains where operation is null order by all limit 1"

_REQUESTS = """
select rewrite_request_id as request_id from chains where rewrite_request_id is not null
union select review_request_id from chains where review_request_id is not null
union select turned_review_request_id from chains where turned_review_request_id is not null
union select respond_request_id from page where respond_request_id is not null
union select respond_request_id from answers semi join page using (sample_id) where respond_request_id is not null
"""

_ROWS = """
with chain as (
    select
        sample_id,
        list(struct_pack(operation, prompt_version, review_prompt_version, rewrite_request_id, review_request_id,
            turned_review_request_id)
            order by hops_after desc) as hops,
        any_value(policy_version) filter (hops_after = 0) as policy_version
    from chains group by sample_id
),
asked as (
    select sample_id, rewrite_request_id as request_id from chains
    union select sample_id, review_request_id from chains
    union select sample_id, turned_review_request_id from chains
    union select sample_id, respond_request_id from page
    union select answers.sample_id, answers.respond_request_id from answers semi join page using (sample_id)
),
paid as (
    select sample_id, if(count(*) = count(cost_nano_usd), sum(cost_nano_usd)::bigint, null) as cost_nano_usd
    from asked left join costs using (request_id) where request_id is not null group by sample_id
)
select
    sample_id,
    split,
    transition_id,
    seed_id,
    source as seed_source,
    row as seed_row,
    source_sha256 as seed_sha256,
    list_transform(hops, lambda hop: hop.operation) as operations,
    policy_version,
    $expert as expert,
    $reviewer as reviewer,
    list_transform(hops, lambda hop: hop.prompt_version) as prompt_versions,
    list_transform(hops, lambda hop: hop.review_prompt_version) as review_prompt_versions,
    $respond_prompt_version as respond_prompt_version,
    list_transform(hops, lambda hop: hop.rewrite_request_id) as rewrite_request_ids,
    list_transform(hops, lambda hop: hop.review_request_id) as review_request_ids,
    list_transform(hops, lambda hop: hop.turned_review_request_id) as turned_review_request_ids,
    respond_request_id,
    partition_key,
    run_id,
    dataset_version,
    cost_nano_usd
from page join seeds using (seed_id) join chain using (sample_id)
left join paid using (sample_id)
order by seed_id, episode_id, step, sample_id
"""


def write_provenance(
    path: Path,
    members: Path,
    generations: Iterable[Generation],
    costs_of: CostsOf,
    pairs: Mapping[str, tuple[Seed, str]] | None = None,
) -> None:
    """Write the origin of each sample in `members` (a file of table `dataset_samples`) to `path`, whole or not at all.

    Rows are in the order of `generations`, then of seed, episode and step; then those of `pairs` that people wrote, by
    sample id, each with the hash of its file. Raises ProvenanceError when a sample's
    seed, transition or generation is in none of the files.
    """
    import duckdb

    missing = pq.read_metadata(members).num_rows
    with (
        replacing(path) as draft,
        TemporaryDirectory(dir=path.parent, prefix=".lineage-") as scratch,
        duckdb.connect(Path(scratch) / "lineage.duckdb", config={"memory_limit": MEMORY}) as connection,
        pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer,
    ):
        _load(connection, "members", members)
        for generation in generations:
            for batch in _rows(connection, generation, costs_of):
                writer.write_batch(batch)
                missing -= batch.num_rows
        for batch in _pair_rows(members, pairs or {}):
            writer.write_batch(batch)
            missing -= batch.num_rows
        if missing:
            raise ProvenanceError(f"{missing} samples of {members} have no answer or seed in the generations given")


def _pair_rows(members: Path, pairs: Mapping[str, tuple[Seed, str]]) -> Iterator[pa.RecordBatch]:
    """The rows of the members that people wrote: what names a generation, a policy or a query is NULL."""
    known = pq.read_table(members, columns=["sample_id", "split", "dataset_version"]) if pairs else None
    rows: list[dict[str, Any]] = [
        dict.fromkeys(SCHEMA.names)
        | {name: [] for name in SCHEMA.names if SCHEMA.field(name).type == _TEXTS}
        | member
        | {"seed_id": seed.seed_id, "seed_source": seed.source, "seed_row": seed.row, "seed_sha256": sha256}
        | {"cost_nano_usd": 0}
        for member in (known.to_pylist() if known else ())
        if (origin := pairs.get(member["sample_id"]))
        for seed, sha256 in [origin]
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield pa.RecordBatch.from_pylist(rows[start : start + ROWS_AT_ONCE], SCHEMA)


def _rows(connection: DuckDBPyConnection, generation: Generation, costs_of: CostsOf) -> Iterator[pa.RecordBatch]:
    _load(connection, "seeds", generation.seeds)
    _load(connection, "steps", generation.transitions)
    _load(connection, "samples", generation.samples)
    _load(connection, "answers", generation.answers)
    pages = connection.execute(_PAGES, {"rows": SAMPLES_AT_ONCE}).fetchall()
    manifest = {name: getattr(generation, name) for name in ("expert", "reviewer", "respond_prompt_version")}
    for first, last in pages:
        seeds = {"first": first, "last": last}
        connection.execute(_PAGE, seeds)
        connection.execute(_CHAINS, seeds)
        if broken := connection.execute(_BROKEN).fetchone():
            raise ProvenanceError(
                f"sample {broken[0]} goes back to transition {broken[1]}, not in {generation.transitions}"
            )
        _load_costs(connection, costs_of)
        for batch in connection.sql(_ROWS, params=manifest).to_arrow_reader(ROWS_AT_ONCE):
            yield batch.cast(SCHEMA)


def _load(connection: DuckDBPyConnection, table: str, path: Path) -> None:
    """Read the columns needed of a file, whatever characters its path has; NULL where an earlier version has none."""
    with pq.ParquetFile(path) as file:
        columns = [name for name in _TAKEN[table] if name in file.schema_arrow.names]
        wanted = [name if name in columns else f"null::varchar as {name}" for name in _TAKEN[table]]
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        batches = pa.RecordBatchReader.from_batches(schema, file.iter_batches(ROWS_AT_ONCE, columns=columns))
        connection.register("incoming", batches)
        connection.execute(f"create or replace table {table} as select {', '.join(wanted)} from incoming")
        connection.unregister("incoming")


def _load_costs(connection: DuckDBPyConnection, costs_of: CostsOf) -> None:
    connection.execute("create or replace table costs (request_id varchar, cost_nano_usd bigint)")
    with connection.cursor() as reading:
        for batch in reading.sql(_REQUESTS).to_arrow_reader(ROWS_AT_ONCE):
            costs = costs_of(batch.column("request_id").to_pylist())
            found = {"request_id": list(costs), "cost_nano_usd": pa.array(costs.values(), pa.int64())}
            connection.register("incoming", pa.table(found, schema=_COSTS))
            connection.execute("insert into costs select * from incoming")
            connection.unregister("incoming")


def keep_splits(path: Path, splits: Collection[str]) -> None:
    """Leave only the rows of `splits` in a `lineage.parquet`."""
    with (
        replacing(path) as kept,
        pq.ParquetFile(path) as file,
        pq.ParquetWriter(kept, file.schema_arrow, compression="zstd") as writer,  # one of an earlier version has less
    ):
        for batch in file.iter_batches(ROWS_AT_ONCE):
            wanted = pa.array([split in splits for split in batch.column("split").to_pylist()], pa.bool_())
            writer.write_batch(batch.filter(wanted))
