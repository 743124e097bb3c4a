"""Generations' manifests: written before the first query, followed ever after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from teams_dagster.core.files import write_atomically
from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.dataset.arms import arm_of
from teams_dagster.dataset.failures import NothingToRetry
from teams_dagster.dataset.generation import (
    GenerationChanged,
    GenerationManifest,
    check_continuable,
    check_trained_for,
    choose_seeds,
    replicas_for,
)
from teams_dagster.dataset.pair_settings import ONE_ANSWER, PairSettings
from teams_dagster.dataset.rotation import NoSeedHasItsTurn, seeds_in_turn
from teams_dagster.dataset.steering import TRAINED, steers, trained_policy_named, untrained_name
from teams_dagster.instructions.prompts import prompt
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.policy.baselines import baseline_version
from teams_dagster.policy.checkpoint import load_policy
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.base import QueryFacts

MANIFEST = "generation.json"

ROLES = (Role.EXPERT, Role.REVIEWER)
"""Who is asked for a generation's rewrites."""

Identities = Callable[[], Mapping[Role, ModelIdentity]]
"""Tells which model serves each of `ROLES`. Called only where that matters: a generation that is kept needs none."""


@dataclass(frozen=True)
class GenerationSettings:
    """What a generation is begun with."""

    seeds: int
    """Seeds drawn for it, at most."""
    root_seed: int
    latest_policy: bool
    """Begin it again with the policy of now."""
    fresh: bool
    """Begin it again and buy new answers."""
    foreign_policy: bool
    """Let a policy that was trained with other kinds of models steer it."""
    only_failed: bool
    """Only ask again what failed in it."""
    policy: str | None = None
    """Who steers it, by name, version or folder, also where it was begun with another; None: the trained policy."""
    rotation_weeks: int = 1
    """Weeks in which every seed has one turn; 1: all of them in every generation."""
    target_samples: int | None = None
    """Rows that it is to bring to the dataset, also where it was begun for another number; None: as it was begun."""
    episodes_per_seed: int = 1
    """Episodes from each seed at most, on the way to a target."""
    counted: PairSettings = ONE_ANSWER
    """What a pair has to be to count towards the target."""
    forced_schedule: bool = False
    """Force the paper's schedule on who steers it, also where it was begun without."""


def begin_generation(
    store: ArtefactStore,
    partition: str,
    settings: GenerationSettings,
    identities: Identities,
    *,
    log: Callable[[str], None],
    check: Callable[[GenerationManifest], None] = lambda _: None,
) -> GenerationManifest:
    """The generation's manifest: as it was written, or written now, before the first query.

    `check` is shown one that is to be written: a generation that it refuses is not begun.

    Raises NothingToRetry where only failed queries are wanted, and the generation was not begun or begins again.
    """
    check_retry(settings)
    manifest = kept_manifest(store, partition, settings, identities, log=log)
    if manifest is None:
        if settings.only_failed:
            raise never_finished(partition)
        seeds = store.current("seed_instructions")
        policy = trained_policy_named(store, settings.policy or TRAINED)
        manifest = new_manifest(store, partition, settings, identities, seeds, policy)
        check(manifest)
    if manifest != _begun(store, partition):
        write_atomically(_path(store, partition), manifest.to_json())
    return manifest


def check_retry(settings: GenerationSettings) -> None:
    """Raises NothingToRetry where failed queries are wanted of a generation that is to begin again."""
    if settings.only_failed and (settings.fresh or settings.latest_policy):
        raise NothingToRetry("`only_failed` begins no generation: leave out `fresh` and `policy: latest` with it")


def refuse_unfinished(settings: GenerationSettings, manifest: GenerationManifest, earlier: Artefact | None) -> None:
    """Raises NothingToRetry where only failed queries are wanted of a generation that was never finished.

    Where a budget ended it before its target it goes on when it is made again, with more than what failed.
    """
    if settings.only_failed and earlier is None:
        raise never_finished(manifest.partition_key)
    if settings.only_failed and earlier is not None and earlier.read_facts(QueryFacts).out_of_budget:
        raise NothingToRetry(
            f"a budget ended generation {manifest.partition_key} before its target, and `only_failed` finishes no"
            " generation: run the job dataset or regenerate for it, which asks again what failed and goes on to the"
            " target"
        )


def never_finished(partition: str) -> NothingToRetry:
    """What to say of a generation without an output, when its failed queries are asked for."""
    return NothingToRetry(
        f"generation {partition} was never finished, so it has no failed queries: launch the job regenerate for it,"
        " or give the partition of a generation that has unanswered queries"
    )


def kept_manifest(
    store: ArtefactStore,
    partition: str,
    settings: GenerationSettings,
    identities: Identities,
    *,
    log: Callable[[str], None] = lambda _: None,
) -> GenerationManifest | None:
    """The manifest that a generation was begun with, where it goes on with that; None where it begins (again).

    Another target is no other generation: it goes on to that, and what is answered is reused.
    """
    begun = _begun(store, partition)
    if begun and settings.target_samples is not None and not settings.only_failed:
        begun = begun.to_target(settings.target_samples, settings.episodes_per_seed, settings.counted)
    if begun and settings.policy and not steers(begun.policy_version, settings.policy):
        return None
    if begun and settings.forced_schedule and not begun.forced_schedule:
        return None
    if begun and not settings.fresh and not settings.latest_policy:
        return begun
    if begun and settings.fresh and begun.fresh and _can_go_on(begun, store, identities):
        log("the fresh generation that was begun before goes on; it is not begun yet again")
        return begun
    return None


def new_manifest(
    store: ArtefactStore,
    partition: str,
    settings: GenerationSettings,
    identities: Identities,
    seeds: Artefact,
    policy: Artefact | None,
) -> GenerationManifest:
    """The manifest of a generation that begins with these seeds and this policy, or with one that needs no training.

    Raises PolicyFromOtherModels.
    """
    ids = [seed.seed_id for seed in read_seeds(seeds)]
    return manifest_to_begin(store, partition, settings, identities, ids, seeds.data_version, policy)


def manifest_to_begin(
    store: ArtefactStore,
    partition: str,
    settings: GenerationSettings,
    identities: Identities,
    seed_ids: Sequence[str],
    seeds_version: str,
    policy: Artefact | None,
) -> GenerationManifest:
    """The same for seeds of which only the ids are at hand; `seeds_version` is that of the artefact that has them."""
    begun, served = _begun(store, partition), identities()
    if policy is not None:
        origin = load_policy(policy).origin
        check_trained_for(
            trained=(origin.instructor, origin.reviewer), used=tuple(served.values()), allowed=settings.foreign_policy
        )
    fresh = (begun.fresh if begun else 0) + settings.fresh
    others = [other for other in _manifests(store) if other.partition_key != partition]
    chosen = _chosen(seed_ids, settings, partition)
    return GenerationManifest(
        partition_key=partition,
        policy_version=policy.data_version if policy else baseline_version(settings.policy or TRAINED),
        seeds_version=seeds_version,
        replicas=replicas_for(chosen, others, fresh, own=dict(begun.replicas) if begun else {}),
        prompt_versions=tuple(sorted(prompt_versions().items())),
        models=tuple(_by_name(served).items()),
        root_seed=settings.root_seed,
        fresh=fresh,
        target_samples=settings.target_samples,
        episodes_per_seed=1 if settings.target_samples is None else settings.episodes_per_seed,
        counted=ONE_ANSWER if settings.target_samples is None else settings.counted,
        forced_schedule=settings.forced_schedule,
    )


def _chosen(seed_ids: Sequence[str], settings: GenerationSettings, partition: str) -> tuple[str, ...]:
    """The seeds of a generation that begins now: those whose turn it is, as many as are wanted.

    Raises NoSeedHasItsTurn.
    """
    in_turn = seeds_in_turn(seed_ids, settings.rotation_weeks, settings.root_seed, partition)
    return choose_seeds(in_turn, settings.seeds, settings.root_seed, partition)


def _number_of_seeds(seeds: Artefact, settings: GenerationSettings, partition: str) -> int:
    """How many seeds a generation would have that began now."""
    try:
        return len(_chosen([seed.seed_id for seed in read_seeds(seeds)], settings, partition))
    except NoSeedHasItsTurn:
        return 0


def check_as_begun(manifest: GenerationManifest, identities: Mapping[Role, ModelIdentity]) -> None:
    """Refuse to finish a generation with other prompts or models than it was begun with. Raises GenerationChanged."""
    check_continuable(manifest, prompt_versions(), _by_name(identities))


def kept_from_before(store: ArtefactStore, manifest: GenerationManifest, settings: GenerationSettings) -> str:
    """What a generation keeps from when it was begun though it is set otherwise now; empty when nothing is."""
    seeds, chosen = store.current("seed_instructions"), settings.policy or untrained_name(manifest.policy_version)
    present = manifest.policy_version if chosen else store.current("trained_policy").data_version
    kept = {
        "seeds": (manifest.seeds_version, seeds.data_version),
        "policy": (manifest.policy_version, present),
        "number of seeds": (len(manifest.replicas), _number_of_seeds(seeds, settings, manifest.partition_key)),
        "root seed": (manifest.root_seed, settings.root_seed),
    }
    changed = [name for name, (then, now) in kept.items() if then != now]
    if not changed:
        return ""
    return (
        f"generation {manifest.partition_key} keeps the {', '.join(changed)} it was begun with, not the present ones."
        " To begin it again with those, run generated_instructions with `policy: latest` (teams demo --latest)"
    )


def read_manifest(generated: Artefact) -> GenerationManifest:
    """The manifest that an artefact of instructions was made from."""
    return GenerationManifest.from_json(generated.path(MANIFEST).read_text(encoding="utf-8"))


def generated_for(store: ArtefactStore, responses: Artefact) -> Artefact:
    """The instructions that the answers in an artefact belong to, in its own arm."""
    key, partition = arm_of(responses.manifest["asset_key"]).instructions, responses.manifest["partition_key"]
    return store.of_version(key, responses.manifest["inputs"][key], partition)


def prompt_versions() -> dict[str, str]:
    """The version of every prompt that a generation asks with, by its name."""
    asked = [*(operation.value for operation in TEXT_OPERATIONS), "review", "respond"]
    return {name: prompt(name).version for name in asked}


def _path(store: ArtefactStore, partition: str) -> Path:
    return store.place("generated_instructions", partition) / MANIFEST


def _begun(store: ArtefactStore, partition: str) -> GenerationManifest | None:
    path = _path(store, partition)
    return GenerationManifest.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _manifests(store: ArtefactStore) -> Iterator[GenerationManifest]:
    for path in sorted(store.place("generated_instructions").glob(f"*/{MANIFEST}")):
        yield GenerationManifest.from_json(path.read_text(encoding="utf-8"))


def _can_go_on(begun: GenerationManifest, store: ArtefactStore, identities: Identities) -> bool:
    """Whether a generation was interrupted, before its answers were bought, and can be finished as it was begun."""
    answered = store.all_of("expert_responses", begun.partition_key)
    if any(read_manifest(generated_for(store, responses)).same_but_for_target(begun) for responses in answered):
        return False
    try:
        check_as_begun(begun, identities())
    except GenerationChanged:
        return False
    return True


def _by_name(identities: Mapping[Role, ModelIdentity]) -> dict[str, ModelIdentity]:
    """As manifests write it: plain role names."""
    return {role.value: identity for role, identity in identities.items()}
