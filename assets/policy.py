"""The policy: trained on a part of the seeds, compared on the rest."""

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from assets.expectations import ASKING, UNTRAINED, asking_of, paces_of, rewriting, still_open
from assets.making import OWNERS, AssetConfig, Output, make_or_reuse, output_of
from assets.outcomes import outcome_facts, outcome_metadata
from assets.recording import EpisodeTables, merge_parts, part_folder
from assets.seeds import read_clusters, read_seeds, seed_instructions
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft
from teams_dagster.completions import loop
from teams_dagster.completions.engine import CallContext, Engine
from teams_dagster.completions.progress import Progress, spent_so_far
from teams_dagster.completions.protocol import Role
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import Episode
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.prompts import all_prompts
from teams_dagster.instructions.seed_splits import policy_sides
from teams_dagster.instructions.seeds import Seed
from teams_dagster.ledger.estimates import Expected
from teams_dagster.ledger.tables import write_table
from teams_dagster.policy.algorithms.config import TRPOConfig
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.features import FEATURE_VERSION
from teams_dagster.policy.rollouts import is_flat
from teams_dagster.report.markdown import as_markdown_image, markdown_table
from teams_dagster.streams import content_hash

CHECKPOINT = "policy.safetensors"

ROLES = (Role.INSTRUCTOR, Role.REVIEWER)

_DEFAULT = TrainingConfig()


class PolicyConfig(AssetConfig):
    """How the policy is trained."""

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    iterations: int = Field(default=_DEFAULT.iterations, ge=1, description="Updates of the policy.")
    episodes_per_iteration: int = Field(
        default=_DEFAULT.episodes_per_iteration, ge=32, description="Episodes a batch, from different seeds."
    )
    reward: Literal["graded", "paper"] = Field(default="graded", description="Reward preset.")
    price: float = Field(
        default=_DEFAULT.reward.price, ge=0, lt=0.5, description="Price of one question in accepted edits (graded)."
    )
    max_kl: float = Field(default=_DEFAULT.trpo.max_kl, gt=0, description="Radius of TRPO's trust region.")
    allow_none: bool = Field(default=True, description="Whether the policy may keep a text and ask nothing.")

    def training(self) -> TrainingConfig:
        """The method's own configuration."""
        return TrainingConfig(
            root_seed=self.root_seed,
            iterations=self.iterations,
            episodes_per_iteration=self.episodes_per_iteration,
            allow_none=self.allow_none,
            reward=RewardConfig(preset=RewardPreset(self.reward), price=self.price),
            trpo=TRPOConfig(max_kl=self.max_kl),
        )


@dg.asset(
    group_name="policy",
    deps=[seed_instructions],
    kinds={"torch", "parquet"},
    owners=OWNERS,
    code_version="1",
    description="The policy that chooses operations, trained by TRPO on the reviewer's verdicts: checkpoint, learning"
    " curve, operation mix.",
)
def trained_policy(
    context: dg.AssetExecutionContext, config: PolicyConfig, store: ArtefactStore, models: LanguageModels
) -> dg.MaterializeResult:
    """Train on the policy's side of the seeds. An interrupted training continues after its last iteration."""
    seeds = store.current("seed_instructions")
    training_seeds, _ = policy_seeds(seeds)
    where = CallContext(context.run.run_id, "trained_policy")
    inputs = policy_inputs(seeds, models)

    def make(draft: Draft) -> None:
        output = policy_output(context.assets_def, config, inputs)
        expected = training_questions(store, training_seeds, config, output)
        asking = models.asking(where, *ROLES, expected=expected, log=context.log.info)
        checkpoint = loop.run(_train(context, asking, training_seeds, config, draft.folder))
        merge_parts(draft.folder, checkpoint.iteration)
        write_prompts(draft.folder, context.run.run_id)
        write_table(draft.folder, "policies", [_policy_row(checkpoint, seeds.data_version, context.run.run_id)])
        asked = {ASKING: asking_of(draft.folder / "transitions.parquet"), **outcome_facts(models, where)}
        draft.finish(checkpoint.policy_version, _policy_facts(checkpoint) | asked)

    return make_or_reuse(
        context,
        store,
        config=config,
        settings=training_settings(config),
        inputs=inputs,
        make=make,
        show=_show_policy,
        resume=True,
        published=models.publish,
    )


def policy_inputs(seeds: Artefact, models: LanguageModels) -> dict[str, str]:
    """What a trained policy is made from, besides its configuration."""
    return {
        "seed_instructions": seeds.data_version,
        "prompts": prompts_version(),
        "features": FEATURE_VERSION,
        **models.versions(*ROLES),
    }


def training_settings(config: PolicyConfig) -> dict[str, Any]:
    """What of a configuration decides a trained policy."""
    return config.training().model_dump(mode="json")


def policy_output(asset: dg.AssetsDefinition, config: PolicyConfig, inputs: dict[str, str]) -> Output:
    """The policy that a training with this configuration makes, whether it was trained yet or not."""
    return output_of(asset, config, inputs, settings=training_settings(config))


def training_questions(
    store: ArtefactStore, seeds: dict[str, Instruction], config: PolicyConfig, output: Output | None
) -> list[Expected]:
    """What a training on `seeds` will still ask, by what earlier trainings asked; `output` is None where unknown."""
    episodes = config.iterations * config.episodes_per_iteration
    if output is not None:
        episodes = still_open(output.earlier(store), _episodes_left(config, output.unfinished(store)))
    return rewriting(Role.INSTRUCTOR, episodes, seeds.values(), paces_of(store.all_of("trained_policy")), UNTRAINED)


def _episodes_left(config: PolicyConfig, folder: Path) -> int:
    """Episodes that a training has yet to run, given what an interrupted one left in `folder`."""
    path = folder / CHECKPOINT
    done = Checkpoint.load(path).iteration if path.exists() else 0
    return (config.iterations - done) * config.episodes_per_iteration


async def _train(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    seeds: dict[str, Instruction],
    config: PolicyConfig,
    folder: Path,
) -> Checkpoint:
    from teams_dagster.policy.training import train

    episodes = _episodes_left(config, folder)

    def record(iteration: int, episodes: Sequence[Episode]) -> None:
        with EpisodeTables(part_folder(folder, iteration), context.run.run_id) as tables:
            tables.record(episodes)

    async with (
        asking as engine,
        Progress(episodes, "episodes", engine.tallies, context.log.info, kept="edits accepted") as progress,
    ):
        return await train(
            engine,
            seeds,
            config.training(),
            folder / CHECKPOINT,
            sink=record,
            on_episode=lambda episode: progress.done(episode.accepted),
            progress=lambda line: context.log.info(f"{line}; {spent_so_far(engine.tallies)}"),
        )


def policy_seeds(seeds: Artefact) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The seeds that train the policy and those it is compared on, by id. Near duplicates are on one side."""
    return divide(read_seeds(seeds), read_clusters(seeds))


def divide(seeds: Sequence[Seed], clusters: dict[str, str]) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The same of `seeds` that are not stored, given the cluster of each."""
    sides = policy_sides(clusters)
    train = {seed.seed_id: seed.instruction for seed in seeds if sides[seed.seed_id] == "train"}
    held_out = {seed.seed_id: seed.instruction for seed in seeds if sides[seed.seed_id] == "held_out"}
    return train, held_out


def load_policy(artefact: Artefact) -> Checkpoint:
    """The checkpoint in a `trained_policy` artefact."""
    return Checkpoint.load(artefact.path(CHECKPOINT))


def write_prompts(folder: Path, run_id: str) -> None:
    """Table `prompt_templates` of an artefact whose questions used the prompts."""
    rows = [{"prompt_version": p.version, "name": p.name, "text": p.source, "run_id": run_id} for p in all_prompts()]
    write_table(folder, "prompt_templates", rows)


def prompts_version() -> str:
    """One version for all prompts together."""
    return content_hash("prompts", {p.name: p.version for p in all_prompts()})


def _policy_row(checkpoint: Checkpoint, seeds_version: str, run_id: str) -> dict[str, object]:
    return {
        "policy_version": checkpoint.policy_version,
        "algorithm": "trpo",
        "config": json.dumps(checkpoint.config.model_dump(mode="json"), sort_keys=True),
        "instructor": str(checkpoint.origin.instructor),
        "reviewer": str(checkpoint.origin.reviewer),
        "seeds_version": seeds_version,
        "pool_version": checkpoint.origin.pool_version,
        "feature_version": checkpoint.origin.feature_version,
        "iterations": checkpoint.iteration,
        "queries": sum(point.queries for point in checkpoint.curve),
        "run_id": run_id,
    }


def _policy_facts(checkpoint: Checkpoint) -> dict[str, object]:
    first, last = checkpoint.curve[0], checkpoint.curve[-1]
    return {
        "iterations": checkpoint.iteration,
        "questions": sum(point.queries for point in checkpoint.curve),
        "return": last.mean_return,
        "accepted_per_query": last.accepted_per_query,
        "accepted_per_episode": last.accepted_per_episode,
        "reward_variance": first.reward_variance,
        "flat_reward": is_flat(first.reward_variance),
        "operation_mix": last.operation_mix,
        "instructor": asdict(checkpoint.origin.instructor),
        "reviewer": asdict(checkpoint.origin.reviewer),
    }


def _show_policy(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    facts, curve = artefact.facts, load_policy(artefact).curve
    mix = [(name, f"{share:.1%}") for name, share in facts["operation_mix"].items()]
    return {
        "policy_version": artefact.data_version,
        "learning_curve": dg.MetadataValue.md(as_markdown_image(pictures.learning_curve(curve), "Learning curve")),
        "operation_mix_by_iteration": dg.MetadataValue.md(
            as_markdown_image(pictures.operation_mix(curve), "Operation mix by iteration")
        ),
        "operation_mix": dg.MetadataValue.md(markdown_table(("operation", "share, last iteration"), mix)),
        **{
            name: facts[name]
            for name in (
                "return",
                "accepted_per_query",
                "accepted_per_episode",
                "reward_variance",
                "iterations",
                "questions",
            )
        },
        "flat_reward": str(facts["flat_reward"]),
        **outcome_metadata(facts),
    }
