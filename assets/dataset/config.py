"""Generations' manifests: written before the first question, followed ever after."""

from collections.abc import Callable
from typing import Literal

import dagster as dg
from pydantic import Field

from assets.making import NothingToRetry
from assets.materialize import AssetConfig
from resources.language_models.roles import LanguageModels
from teams_dagster.core.files import write_atomically
from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.dataset.generation import (
    GenerationChanged,
    GenerationManifest,
    check_continuable,
    check_trained_for,
    choose_seeds,
    replicas_for,
)
from teams_dagster.dataset.manifests import (
    ROLES,
    _begun,
    _manifests,
    _path,
    generated_for,
    prompt_versions,
    read_manifest,
)
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.policy.stored import load_policy
from teams_dagster.store.artefact_store import Artefact, ArtefactStore


class GenerationConfig(AssetConfig):
    """What a generation is begun with. Once begun, its manifest rules."""

    seeds: int = Field(
        default=240, ge=1, description="Seeds of this generation, drawn for it; all when there are fewer."
    )
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    policy: Literal["manifest", "latest"] = Field(
        default="manifest", description="`latest`: begin this generation again with the policy of now."
    )
    fresh: bool = Field(default=False, description="Begin this generation again and buy new answers, on purpose.")
    foreign_policy: bool = Field(
        default=False, description="Let a policy trained with other kinds of models steer this generation."
    )
    only_failed: bool = Field(
        default=False,
        description="Ask again what got no answer in this generation, once it was finished; never begin or finish one.",
    )


def begin_generation(
    context: dg.AssetExecutionContext, config: GenerationConfig, store: ArtefactStore, models: LanguageModels
) -> GenerationManifest:
    """The generation's manifest: as it was written, or written now, before the first question.

    Raises NothingToRetry where only failed questions are wanted, and the generation was not begun or begins again.
    """
    partition = context.partition_key
    check_retry(config)
    manifest = kept_manifest(partition, config, store, models, say=context.log.info)
    if manifest is None:
        if config.only_failed:
            raise never_finished(partition)
        seeds, policy = store.current("seed_instructions"), store.current("trained_policy")
        manifest = new_manifest(partition, config, store, models, seeds, policy)
        write_atomically(_path(store, partition), manifest.to_json())
    return manifest


def check_retry(config: GenerationConfig) -> None:
    """Raises NothingToRetry where failed questions are wanted of a generation that is to begin again."""
    if config.only_failed and (config.fresh or config.policy == "latest"):
        raise NothingToRetry("`only_failed` begins no generation: leave out `fresh` and `policy: latest` with it")


def never_finished(partition: str) -> NothingToRetry:
    """What to say of a generation without an output, when its failed questions are asked for."""
    return NothingToRetry(
        f"generation {partition} was never finished, so it has no failed questions: launch the job regenerate for it,"
        " or give the partition of a generation that has unanswered questions"
    )


def kept_manifest(
    partition: str,
    config: GenerationConfig,
    store: ArtefactStore,
    models: LanguageModels,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> GenerationManifest | None:
    """The manifest that a generation was begun with, where it goes on with that; None where it begins (again)."""
    begun = _begun(store, partition)
    if begun and not config.fresh and config.policy == "manifest":
        return begun
    if begun and config.fresh and begun.fresh and _can_go_on(begun, store, models):
        say("the fresh generation that was begun before goes on; it is not begun yet again")
        return begun
    return None


def new_manifest(
    partition: str,
    config: GenerationConfig,
    store: ArtefactStore,
    models: LanguageModels,
    seeds: Artefact,
    policy: Artefact,
) -> GenerationManifest:
    """The manifest of a generation that begins with these seeds and this policy. Raises PolicyFromOtherModels."""
    begun = _begun(store, partition)
    origin = load_policy(policy).origin
    identities = identities_of(models)
    check_trained_for(
        trained=(origin.instructor, origin.reviewer), used=tuple(identities.values()), allowed=config.foreign_policy
    )
    fresh = (begun.fresh if begun else 0) + config.fresh
    others = [other for other in _manifests(store) if other.partition_key != partition]
    chosen = choose_seeds([s.seed_id for s in read_seeds(seeds)], config.seeds, config.root_seed, partition)
    return GenerationManifest(
        partition_key=partition,
        policy_version=policy.data_version,
        seeds_version=seeds.data_version,
        replicas=replicas_for(chosen, others, fresh, own=dict(begun.replicas) if begun else {}),
        prompt_versions=tuple(sorted(prompt_versions().items())),
        models=tuple(identities.items()),
        root_seed=config.root_seed,
        fresh=fresh,
    )


def drift(
    manifest: GenerationManifest, config: GenerationConfig, store: ArtefactStore, context: dg.AssetExecutionContext
) -> str:
    """What a generation keeps from when it was begun though it is set otherwise now; empty when nothing is."""
    seeds = store.current("seed_instructions")
    kept = {
        "seeds": (manifest.seeds_version, seeds.data_version),
        "policy": (manifest.policy_version, store.current("trained_policy").data_version),
        "number of seeds": (
            len(manifest.replicas),
            min(config.seeds, seeds.facts["seeds"]),
        ),
        "root seed": (manifest.root_seed, config.root_seed),
    }
    changed = [name for name, (then, now) in kept.items() if then != now]
    if not changed:
        return ""
    note = (
        f"generation {manifest.partition_key} keeps the {', '.join(changed)} it was begun with, not the present ones."
        " To begin it again with those, run generated_instructions with `policy: latest` (teams demo --latest)"
    )
    context.log.warning(note)
    return note


def _can_go_on(begun: GenerationManifest, store: ArtefactStore, models: LanguageModels) -> bool:
    """Whether a generation was interrupted, before its answers were bought, and can be finished as it was begun."""
    answered = store.all_of("expert_responses", begun.partition_key)
    if any(read_manifest(generated_for(store, responses)) == begun for responses in answered):
        return False
    try:
        check_continuable(begun, prompt_versions(), identities_of(models))
    except GenerationChanged:
        return False
    return True


def identities_of(models: LanguageModels) -> dict[str, ModelIdentity]:
    """The model of each role that a generation asks."""
    return {role.value: identity for role, identity in models.identities(*ROLES).items()}
