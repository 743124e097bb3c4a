"""Where a dataset's rows come from: its generations, its lineage file, and what its card says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.protocol import Role
from teams_dagster.dataset.arms import Arm
from teams_dagster.dataset.card import DataCard
from teams_dagster.dataset.gating import Gate, chosen_samples
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.pairs import Pairs, pair_id
from teams_dagster.dataset.provenance import LINEAGE, Generation, write_provenance
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.dataset.stored import answers_asked, answers_file, seeds_played
from teams_dagster.ledger.costs import cost_of_requests, costs_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts, ResponseFacts, SeedFacts
from teams_dagster.store.transition_row import EDIT_ANSWERS

IDS_AT_ONCE = 10_000

BIASES = ("The texts are synthetic: they hold the errors and the views of the models that wrote them.",)


LIMITS = ("A reviewer model judged each rewrite; no person read the samples.",)


PAIRS_LIMITS = ("What people wrote is taken as it is: neither its answers nor its licence were looked at.",)


OFFLINE_LIMITS = (
    "The offline rules wrote these texts. They show that the line works; they teach a model nothing worth knowing.",
)


@dataclass(frozen=True)
class AnsweredGeneration:
    """A generation with its answers, and the seeds it was begun with."""

    manifest: GenerationManifest
    seeds: Artefact
    generated: Artefact
    responses: Artefact


def generations_of(store: ArtefactStore, answered: Sequence[Artefact]) -> list[AnsweredGeneration]:
    """What the artefacts of `expert_responses` were made from. Raises ArtefactMissing where it is gone."""
    found: list[AnsweredGeneration] = []
    for responses in answered:
        generated = generated_for(store, responses)
        manifest = read_manifest(generated)
        seeds = store.of_version("seed_instructions", manifest.seeds_version)
        found.append(AnsweredGeneration(manifest, seeds, generated, responses))
    return found


def write_lineage(
    folder: Path,
    members: Path,
    generations: Sequence[AnsweredGeneration],
    ledger: Ledger,
    pairs: Pairs | None,
    gate: Gate,
) -> None:
    """Write the origin of each sample in `members` into `folder`: of generated ones, and of people's pairs.

    Of several answers the one that `gate` chose is told.
    """
    written = {pair_id(seed): (seed, pairs.sha256) for seed in pairs.seeds} if pairs else {}
    with TemporaryDirectory() as scratch:
        sources = _sources(generations, gate, Path(scratch))
        write_provenance(folder / LINEAGE, members, sources, partial(costs_of, ledger), written)


def _sources(generations: Sequence[AnsweredGeneration], gate: Gate, scratch: Path) -> list[Generation]:
    return [
        Generation(
            seeds=generation.seeds.path("seeds.parquet"),
            transitions=generation.generated.path("transitions.parquet"),
            samples=chosen_samples(generation.responses, gate, scratch),
            answers=answers_file(generation.responses),
            expert=str(dict(generation.manifest.models)[Role.EXPERT]),
            reviewer=str(dict(generation.manifest.models)[Role.REVIEWER]),
            respond_prompt_version=dict(generation.manifest.prompt_versions)["respond"],
        )
        for generation in generations
    ]


def data_card(
    arm: Arm,
    version: str,
    facts: DatasetFacts,
    generations: Sequence[AnsweredGeneration],
    ledger: Ledger,
    evaluation_sets: Sequence[str],
    pairs: Pairs | None,
    gate: Gate,
) -> DataCard:
    """The facts of the card of an arm's dataset."""
    manifests = [generation.manifest for generation in generations]
    libraries = list({generation.seeds.data_version: generation.seeds for generation in generations}.values())
    seeds = [library.read_facts(SeedFacts) for library in libraries]
    identities = [(role, identity) for manifest in manifests for role, identity in manifest.models]
    models: dict[str, dict[str, None]] = {}
    for role, identity in identities:
        models.setdefault(role, {})[str(identity)] = None
    return DataCard(
        name=arm.title,
        dataset_version=version,
        licence="other",
        licence_note="The seeds' licence and the terms of the models named above bind these texts.",
        languages=(),
        seed_files=tuple((library.source, library.sha256) for library in seeds),
        seeds_used=len(seeds_played(*(generation.generated for generation in generations))),
        seeds_refused=_refused(libraries),
        generations=tuple(facts.generations),
        examples={split: facts.examples[split] for split in SPLITS},
        dropped=facts.dropped,
        models={role: tuple(found) for role, found in models.items()},
        policy_versions=tuple(dict.fromkeys(manifest.policy_version for manifest in manifests)),
        forced_schedule=any(manifest.forced_schedule for manifest in manifests),
        queries=sum(_queries(generation) for generation in generations) + gate.ratings,
        cost_nano_usd=cost_of_requests(ledger, _distinct(_all_requests(generations, gate))),
        evaluation_sets=tuple(evaluation_sets),
        biases=BIASES if generations else (),
        limits=arm.limits
        + (LIMITS if generations else ())
        + (OFFLINE_LIMITS if any(i.provider == "offline" for _, i in identities) else ())
        + (PAIRS_LIMITS if pairs else ()),
        pairs={split: facts.pairs[split] for split in SPLITS} if facts.pairs else {},
        pair_files=((pairs.source, pairs.sha256),) if pairs else (),
        pairs_refused=facts.pairs_refused,
        scoring=facts.scoring or "",
        reasoned={split: facts.reasoned[split] for split in SPLITS} if facts.reasoned else {},
    )


def _queries(generation: AnsweredGeneration) -> int:
    """Rewrites, reviews and answers of a generation, paid or reused."""
    asked = generation.generated.read_facts(GenerationFacts).questions
    return asked + answers_asked(generation.responses) * generation.responses.read_facts(ResponseFacts).samples


def _refused(libraries: Sequence[Artefact]) -> dict[str, int]:
    """Refused rows of the seed files by reason."""
    reasons = [
        reason
        for library in libraries
        for reason in pq.read_table(library.path("refused_seeds.parquet"))["reason"].to_pylist()
    ]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def generation_requests(generated: Artefact, responses: Artefact) -> Iterator[str]:
    """The requests that a generation's instructions and every answer to them came from; some more than once."""
    yield from _requests(generated.path("transitions.parquet"), EDIT_ANSWERS)
    yield from _requests(answers_file(responses), ["respond_request_id"])


def _all_requests(generations: Sequence[AnsweredGeneration], gate: Gate) -> Iterator[str]:
    """The requests that the dataset's texts came from, and those that scored them; some more than once."""
    for generation in generations:
        yield from generation_requests(generation.generated, generation.responses)
    for scores in (gate.scores or {}).values():
        yield from _requests(scores.path(f"{SCORES}.parquet"), ["judge_request_id"])


def _requests(path: Path, columns: Iterable[str]) -> Iterator[str]:
    """The request ids in these columns of a table; an earlier version may have written fewer of them."""
    for batch in pq.ParquetFile(path).iter_batches(IDS_AT_ONCE, columns=list(columns)):
        yield from (request for column in batch.columns for request in column.to_pylist() if request)


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Each once. They lie in DuckDB, which takes what memory does not hold to disk."""
    waiting = iter(names)
    with scratch() as connection:
        connection.execute("create table names (name varchar)")
        while some := list(islice(waiting, IDS_AT_ONCE)):
            connection.register("incoming", pa.table({"name": pa.array(some, pa.string())}))
            connection.execute("insert into names select name from incoming")
            connection.unregister("incoming")
        found = connection.execute("select distinct name from names")
        while rows := found.fetchmany(IDS_AT_ONCE):
            yield from (name for (name,) in rows)
