"""The policy beside others, on seeds it was never trained on."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict

import dagster as dg

from assets.columns import POLICY_SCORES, table_columns
from assets.comparison.config import ComparisonSettings
from assets.comparison.estimate import comparison_asking, comparison_episodes, comparison_questions
from assets.comparison.scores import Kept, all_scores
from assets.comparison.trainings import Trainings
from assets.making import make_or_reuse
from assets.materialize import COMPARED_LAST, OWNERS, output_of
from assets.outcomes import outcome_facts, outcome_metadata
from assets.policy import trained_policy
from assets.policy_config import roles_of
from assets.seeds import seed_instructions
from resources.language_models.roles import LanguageModels
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.core.protocol import Role
from teams_dagster.environment.recording import PARTS, EpisodeTables, merge_parts, part_folder
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.stored_prompts import prompts_version, write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.engine import CallContext, Engine
from teams_dagster.llm.progress import Progress
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.compare import Comparison, compare
from teams_dagster.policy.comparison.contenders import TRAINED, baseline_contenders
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.policy.query_forecast import ASKING
from teams_dagster.policy.stored import load_policy, policy_seeds, reference_of
from teams_dagster.report.policy_scores import differences_table, pay_off_lines, policies_table, raw_table
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.facts.base import UNANSWERED
from teams_dagster.store.tables import write_table

PLAYS = "comparison"
"""The part of the tables that holds the compared episodes; the others hold trainings."""

NUMBERS = (
    "accepted_per_query",
    "accepted_per_query_over_uniform",
    "accepted_per_query_share_of_gap",
    "accepted_per_episode",
    "accepted_per_episode_share_of_gap",
)
"""Metrics of the trained policy that plot over time."""

PICTURED = ("accepted_per_query", "accepted_per_episode", "distinct_accepted_per_query", "vendi_score")


@dg.asset(
    group_name="policy",
    deps=[seed_instructions, trained_policy],
    kinds={"python", "parquet"},
    owners=OWNERS,
    op_tags=COMPARED_LAST,
    metadata=table_columns("policy_scores", POLICY_SCORES),
    code_version="2",
    description="The trained policy against uniform (what Evol-Instruct does) and other baselines on seeds it was never"
    " trained on, at an equal number of questions, with paired 95% intervals. Nothing paid depends on it.",
)
def policy_comparison(
    context: dg.AssetExecutionContext,
    config: ComparisonSettings,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Train what is compared besides the deployed policy, play every policy on the held-out seeds, and score it."""
    seeds, policy = store.current("seed_instructions"), store.current("trained_policy")
    deployed, where = load_policy(policy), CallContext(context.run.run_id, "policy_comparison")
    plan = config.plan(models, deployed.config, referenced=deployed.origin.reference_version is not None)
    roles = plan.roles(deployed.config)
    inputs = comparison_inputs(seeds, policy, models, roles)

    def make(draft: Draft) -> None:
        earlier = output_of(context.assets_def, config, inputs, settings=plan.settings()).earlier(store)
        training_seeds, held_out = policy_seeds(seeds)
        expected = comparison_questions(store, training_seeds, held_out, plan, deployed.config, policy, earlier)
        asking = models.asking(where, *roles, expected=expected, log=context.log.info)
        begun = (draft.folder / PARTS).exists()
        trainings = Trainings(
            training_seeds,
            deployed,
            reference_of(store, policy),
            plan,
            draft.folder,
            context.run.run_id,
            elsewhere=models.elsewhere(where, *roles_of(deployed.config)),
        )
        comparison, kept = loop.run(_compare(context, asking, trainings, held_out, draft))
        scores = all_scores(comparison, kept, plan, policy, models)
        merge_parts(draft.folder, [*trainings.parts(), PLAYS])
        write_prompts(draft.folder, context.run.run_id)
        write_table(draft.folder, "policy_scores", [asdict(score) | {"run_id": context.run.run_id} for score in scores])
        draft.finish(
            content_hash("policy_scores", [{k: repr(v) for k, v in asdict(score).items()} for score in scores]),
            {
                "flat_reward": comparison.flat_reward,
                "reward_variance": {name: tally.reward_variance for name, tally in comparison.tallies.items()},
                "seeds": len(comparison.seed_ids),
                "training_seeds": plan.training_seeds,
                "questions_per_seed": plan.config.questions_per_seed,
                UNANSWERED: sum(tally.truncated for tally in comparison.tallies.values()),
                ASKING: {} if begun else comparison_asking(models, where, plan, deployed.config, len(held_out)),
                **outcome_facts(models, where),
            },
        )

    return make_or_reuse(
        context,
        store,
        config=config,
        settings=plan.settings(),
        inputs=inputs,
        make=make,
        show=_show_comparison,
        resume=True,
        published=models.publish,
    )


def comparison_inputs(
    seeds: Artefact, policy: Artefact, models: LanguageModels, roles: tuple[Role, ...]
) -> dict[str, str]:
    """What a comparison is made from, besides its configuration."""
    return {
        "seed_instructions": seeds.data_version,
        "trained_policy": policy.data_version,
        "prompts": prompts_version(),
        **models.versions(*roles),
    }


async def _compare(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    trainings: Trainings,
    held_out: Mapping[str, Instruction],
    draft: Draft,
) -> tuple[Comparison, Kept]:
    """The comparison, and what else is needed of its episodes."""
    kept, plan, deployed = Kept(), trainings.plan, trainings.deployed.config
    total = comparison_episodes(plan, deployed, len(held_out))
    async with (
        asking as engine,
        Progress(total, "episodes", engine.tallies, context.log.info, kept="edits accepted") as progress,
    ):
        trained = await trainings.contenders(engine, progress.done, context.log.info)
        environment = Environment(engine, Pool(trainings.seeds.values()), deployed.reward, Role.INSTRUCTOR)
        with EpisodeTables(part_folder(draft.folder, PLAYS), context.run.run_id) as tables:

            def keep(name: str, by_seed: Mapping[str, SeedPlay]) -> None:
                tables.record([episode for play in by_seed.values() for episode in play.episodes])
                kept.keep(name, by_seed)

            comparison = await compare(
                environment,
                [*trained, *baseline_contenders(plan.baselines)],
                held_out,
                plan.config,
                trained_on=trainings.seeds,
                sink=keep,
                on_episode=lambda episode: progress.done(episode.accepted),
                progress=context.log.info,
            )
    return comparison, kept


def _show_comparison(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    scores, facts = read_policy_scores(artefact), artefact.facts
    trained = {score.metric: score.mean for score in scores if score.policy == TRAINED}
    drawn = {f"{metric}_by_policy": pictures.policies_compared(scores, metric) for metric in PICTURED}
    drawn["differences"] = pictures.differences(scores)
    raw = markdown_table(("metric", "policy", "mean", "95% interval", "episodes", "questions"), raw_table(scores))
    metadata: dict[str, dg.MetadataValue | int | float | str] = {
        **{name: trained[name] for name in NUMBERS if name in trained},
        "flat_reward": str(facts["flat_reward"]),
        "reward_variance_of_uniform": facts["reward_variance"][UNIFORM],
        "training_seeds": facts["training_seeds"],
        "questions_from_each_seed": facts["questions_per_seed"],
        "policies": dg.MetadataValue.md(policies_table(scores).markdown("policy")),
        "trained_minus_others": dg.MetadataValue.md(differences_table(scores).markdown("trained minus")),
        "pays_for_itself": "; ".join(pay_off_lines(scores)),
        **{name: dg.MetadataValue.md(as_markdown_image(png, name.replace("_", " "))) for name, png in drawn.items()},
        "scores": dg.MetadataValue.md(raw),
        **outcome_metadata(facts),
    }
    if facts["training_seeds"] == 1:
        metadata["note"] = "one training seed was compared: it cannot show how much trainings vary"
    return metadata
