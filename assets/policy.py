"""The policy: trained on a part of the seeds, compared on the rest."""

import json
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg

from assets.answers_cost import AnswersCost, answers_cost
from assets.columns import POLICIES, table_columns
from assets.making import make_or_reuse
from assets.materialize import DATASET_FIRST, OWNERS, output_of
from assets.outcomes import outcome_facts, outcome_metadata
from assets.policy_config import PolicyConfig, roles_of
from assets.seeds import seed_instructions
from resources.language_models.roles import LanguageModels
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.core.text import NANO
from teams_dagster.environment.recording import merge_parts, recording, training_parts
from teams_dagster.instructions.stored_prompts import prompts_version, write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.engine import CallContext, Engine
from teams_dagster.llm.progress import Progress, spent_so_far
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.encoder import encoder
from teams_dagster.policy.query_forecast import ASKING, _episodes_left, asking_of, training_questions
from teams_dagster.policy.stored import load_policy, policy_seeds
from teams_dagster.policy.tally import is_flat
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft, Output
from teams_dagster.store.tables import write_table

NUMBERS = (
    "return",
    "accepted_per_query",
    "accepted_per_episode",
    "reward_variance",
    "entropy",
    "kl",
    "explained_variance",
    "iterations",
    "questions",
)
"""Facts of a training that plot over time."""


@dg.asset(
    group_name="policy",
    deps=[seed_instructions],
    kinds={"torch", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("policies", POLICIES),
    code_version="1",
    description="The policy that chooses operations, trained on the reviewer's verdicts: checkpoint, learning curve,"
    " operation mix.",
)
def trained_policy(
    context: dg.AssetExecutionContext,
    config: PolicyConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Train on the policy's side of the seeds. An interrupted training continues after its last iteration."""
    seeds, training = store.current("seed_instructions"), config.training()
    training_seeds, _ = policy_seeds(seeds)
    where = CallContext(context.run.run_id, "trained_policy")
    inputs = policy_inputs(seeds, models, config, training)

    def make(draft: Draft) -> None:
        output = policy_output(context.assets_def, config, training, inputs)
        expected = training_questions(store, training_seeds, training, output)
        asking = models.asking(where, *roles_of(training), expected=expected, log=context.log.info)
        reference = reference_policy(store, config)
        checkpoint = loop.run(_train(context, asking, training_seeds, training, reference, draft.folder))
        merge_parts(draft.folder, training_parts(checkpoint.iteration))
        write_prompts(draft.folder, context.run.run_id)
        cost = answers_cost(models, draft.folder / "transitions.parquet")
        row = _policy_row(checkpoint, seeds.data_version, cost, context.run.run_id)
        write_table(draft.folder, "policies", [row])
        episodes = checkpoint.iteration * training.episodes_per_iteration
        asked = {ASKING: asking_of(draft.folder / "transitions.parquet", episodes), **outcome_facts(models, where)}
        draft.finish(checkpoint.policy_version, _policy_facts(checkpoint, cost) | asked)

    return make_or_reuse(
        context,
        store,
        config=config,
        settings=training_settings(training),
        inputs=inputs,
        make=make,
        show=_show_policy,
        resume=True,
        published=models.publish,
    )


def policy_inputs(
    seeds: Artefact, models: LanguageModels, config: PolicyConfig, training: TrainingConfig
) -> dict[str, str]:
    """What a trained policy is made from, besides its configuration."""
    reference = config.kl_reference.policy_version
    return {
        "seed_instructions": seeds.data_version,
        "prompts": prompts_version(),
        "features": encoder(training.features).version,
        **models.versions(*roles_of(training)),
        **({"reference_policy": reference} if reference else {}),
    }


def training_settings(training: TrainingConfig) -> dict[str, Any]:
    """What of a configuration decides a trained policy."""
    return training.model_dump(mode="json")


def policy_output(
    asset: dg.AssetsDefinition, config: PolicyConfig, training: TrainingConfig, inputs: dict[str, str]
) -> Output:
    """The policy that a training with this configuration makes, whether it was trained yet or not."""
    return output_of(asset, config, inputs, settings=training_settings(training))


def reference_policy(store: ArtefactStore, config: PolicyConfig) -> Checkpoint | None:
    """The policy that a training stays near to; None for the uniform one. Raises ArtefactMissing."""
    version = config.kl_reference.policy_version
    return load_policy(store.of_version("trained_policy", version)) if version else None


async def _train(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    seeds: dict[str, Instruction],
    training: TrainingConfig,
    reference: Checkpoint | None,
    folder: Path,
) -> Checkpoint:
    from teams_dagster.policy.training import train

    episodes = _episodes_left(training, folder)

    async with (
        asking as engine,
        Progress(episodes, "episodes", engine.tallies, context.log.info, kept="edits accepted") as progress,
    ):
        return await train(
            engine,
            seeds,
            training,
            folder / CHECKPOINT,
            reference=reference,
            sink=recording(folder, context.run.run_id),
            on_episode=lambda episode: progress.done(episode.accepted),
            progress=lambda line: context.log.info(f"{line}; {spent_so_far(engine.tallies)}"),
        )


def _policy_row(checkpoint: Checkpoint, seeds_version: str, cost: AnswersCost, run_id: str) -> dict[str, object]:
    return {
        "policy_version": checkpoint.policy_version,
        "algorithm": checkpoint.config.algorithm.name,
        "config": json.dumps(checkpoint.config.model_dump(mode="json"), sort_keys=True),
        "instructor": str(checkpoint.origin.instructor),
        "reviewer": str(checkpoint.origin.reviewer),
        "guide": str(checkpoint.origin.guide) if checkpoint.origin.guide else None,
        "seeds_version": seeds_version,
        "pool_version": checkpoint.origin.pool_version,
        "feature_version": checkpoint.origin.feature_version,
        "iterations": checkpoint.iteration,
        "queries": sum(point.queries for point in checkpoint.curve),
        "cost_nano_usd": cost.nano_usd,
        "unpriced": cost.unpriced,
        "run_id": run_id,
    }


def _policy_facts(checkpoint: Checkpoint, cost: AnswersCost) -> dict[str, object]:
    first, last = checkpoint.curve[0], checkpoint.curve[-1]
    return {
        "algorithm": checkpoint.config.algorithm.name,
        "iterations": checkpoint.iteration,
        "stopped_early": checkpoint.stopped_early,
        "guidance_queries": sum(point.guidance_queries for point in checkpoint.curve),
        "fallbacks": sum(point.fallbacks for point in checkpoint.curve),
        "cost_nano_usd": cost.nano_usd,
        "unpriced": cost.unpriced,
        "kl": last.kl,
        "entropy": last.entropy,
        "explained_variance": last.explained_variance,
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
    drawn = {
        "learning_curve": pictures.learning_curve(curve),
        "operation_mix_by_iteration": pictures.operation_mix(curve),
    }
    return {
        "policy_version": artefact.data_version,
        "algorithm": facts["algorithm"],
        **{name: dg.MetadataValue.md(as_markdown_image(png, name.replace("_", " "))) for name, png in drawn.items()},
        "operation_mix": dg.MetadataValue.md(markdown_table(("operation", "share, last iteration"), mix)),
        **{name: facts[name] for name in NUMBERS if facts[name] is not None},
        "questions_to_the_guide": facts["guidance_queries"],
        "guide_could_not_be_read": facts["fallbacks"],
        "stopped_early": str(facts["stopped_early"]),
        "cost_usd": facts["cost_nano_usd"] / NANO,
        "flat_reward": str(facts["flat_reward"]),
        **outcome_metadata(facts),
    }
