"""Checks that the uniform arm can be compared with the main line, and does not mix with it."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.parquet as pq

from assets.check_results import needs_output, verdict, warning
from teams_dagster.dataset.arms import TRAINED_ARM, UNIFORM_ARM
from teams_dagster.dataset.building import threshold_of
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.responses import kept_reasoning
from teams_dagster.dataset.stored import answers_asked, generations_of, seeds_played
from teams_dagster.dataset.uniform import seeds_line
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts

LEFT_UNASKED = 1
"""A rewrite and its review are not divided: the last query may stay unasked."""


@dg.asset_check(
    asset="uniform_instructions",
    description="Beside every generation uniform asked as many queries, of seeds that were played there too, by the"
    " same models and prompts; answers, thoughts and the threshold of scores are the same.",
    metadata={
        "severity": "warning",
        "remedy": "The trained policy's generation changed since: launch job `uniform_arm` for it again. Several"
        " answers and a threshold are the main line's alone: compare without them.",
    },
)
@needs_output
def arms_ask_the_same(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A difference between the students may come from the policy alone."""
    said, notes, figures = [], [], {}
    for uniform in generations_of(store, UNIFORM_ARM.instructions):
        partition = uniform.manifest["partition_key"]
        trained = store.current(TRAINED_ARM.instructions, partition)
        asked = (trained.read_facts(GenerationFacts).questions, uniform.read_facts(GenerationFacts).questions)
        figures[partition] = {"trained": asked[0], "uniform": asked[1]}
        notes.append(f"{partition}: {seeds_line(store, uniform, trained)}")
        if beyond := seeds_played(uniform) - seeds_played(trained):
            said.append(f"{partition}: uniform played {len(beyond)} seeds that the trained policy did not")
        if not 0 <= asked[0] - asked[1] <= LEFT_UNASKED:
            said.append(f"{partition}: the trained policy asked {asked[0]} queries, uniform {asked[1]}")
        said += [f"{partition}: {name} differ" for name in _differing(trained, uniform)]
        said += [f"{partition}: {name}" for name in _answered_differently(store, partition)]
    said += _kept_differently(store)
    advice = ". Run the job uniform_arm for these generations again" if said else ""
    return warning(
        not said,
        ("; ".join(said) or f"as many queries in each of {len(figures)} generations") + advice,
        asked=figures,
        seeds="; ".join(notes),
    )


def _differing(trained: Artefact, uniform: Artefact) -> list[str]:
    """What two generations of a week do not share though they should."""
    ours, theirs = read_manifest(trained), read_manifest(uniform)
    same = {
        "seeds": (ours.seeds_version, ours.replicas) == (theirs.seeds_version, theirs.replicas),
        "models": ours.models == theirs.models,
        "prompts": ours.prompt_versions == theirs.prompt_versions,
        "root seeds": ours.root_seed == theirs.root_seed,
    }
    return [name for name, equal in same.items() if not equal]


def _answered_differently(store: ArtefactStore, partition: str) -> Iterator[str]:
    """What the answers of a week were not asked for alike in. The uniform arm asks for one answer where none is yet."""
    if not store.exists(TRAINED_ARM.responses, partition):
        return
    trained = store.current(TRAINED_ARM.responses, partition)
    exists = store.exists(UNIFORM_ARM.responses, partition)
    uniform = store.current(UNIFORM_ARM.responses, partition) if exists else None
    each = answers_asked(trained), 1 if uniform is None else answers_asked(uniform)
    if each[0] != each[1]:
        yield f"the trained policy's instructions were given {each[0]} answers each, uniform's {each[1]}"
    if uniform is not None and kept_reasoning(trained) != kept_reasoning(uniform):
        ours, theirs = (kept_reasoning(arm) or "none" for arm in (trained, uniform))
        yield f"words of thought are kept up to {ours} of the trained policy's answers, up to {theirs} of uniform's"


def _kept_differently(store: ArtefactStore) -> Iterator[str]:
    """What the arms' datasets were not made alike in."""
    least = [
        threshold_of(store.current(arm.dataset)) if store.exists(arm.dataset) else 0.0
        for arm in (TRAINED_ARM, UNIFORM_ARM)
    ]
    if least[0] != least[1]:
        yield (
            f"pairs below a score of {least[0]:g} are left out of instruction_dataset, below {least[1]:g} of"
            " uniform_dataset"
        )


@dg.asset_check(
    asset="uniform_dataset",
    blocking=True,
    description="No sample is in both arms' datasets, and no seed is on different sides of them.",
    metadata={"severity": "error", "remedy": "Materialise `instruction_dataset` and `uniform_dataset` again."},
)
@needs_output
def arms_are_apart(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """The same text may be made twice; a sample may not, nor may a seed be held out for one student alone."""
    trained, uniform = (_members(store.current(arm.dataset)) for arm in (TRAINED_ARM, UNIFORM_ARM))
    shared = sorted(trained.keys() & uniform.keys())
    sides = dict(trained.values())
    moved = sorted({seed for seed, side in uniform.values() if sides.get(seed, side) != side})
    if shared or moved:
        finding = f"{len(shared)} samples are in both datasets, {len(moved)} seeds are on different sides of them"
        return verdict(
            False,
            f"{finding}: materialise instruction_dataset and uniform_dataset again",
            samples=shared[:5],
            seeds=moved[:5],
        )
    return verdict(True, f"{len(uniform)} samples of the uniform arm, none of them in instruction_dataset")


def _members(dataset: Artefact) -> dict[str, tuple[str, str]]:
    """Seed and side by sample id."""
    columns = ["sample_id", "seed_id", "split"]
    rows = pq.read_table(dataset.path("dataset_samples.parquet"), columns=columns)
    return {row["sample_id"]: (row["seed_id"], row["split"]) for row in rows.to_pylist()}
