"""The policy beside others that do not learn, on seeds it was never trained on."""

from contextlib import AbstractAsyncContextManager
from dataclasses import asdict

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from assets.expectations import (
    ASKING,
    UNTRAINED,
    asking_of,
    compared_episodes,
    last_pace,
    paces_of,
    rewriting,
    still_open,
)
from assets.making import OWNERS, UNANSWERED, AssetConfig, make_or_reuse, output_of
from assets.outcomes import outcome_facts, outcome_metadata
from assets.policy import ROLES, load_policy, policy_seeds, prompts_version, trained_policy, write_prompts
from assets.recording import EpisodeTables
from assets.seeds import seed_instructions
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact, ArtefactStore, Draft
from teams_dagster.completions import loop
from teams_dagster.completions.engine import CallContext, Engine
from teams_dagster.completions.progress import Progress
from teams_dagster.completions.protocol import Role
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.novelty import Pool
from teams_dagster.ledger.estimates import Expected
from teams_dagster.ledger.tables import write_table
from teams_dagster.policy.comparison import Comparison, ComparisonConfig, Score, compare, contenders
from teams_dagster.report.markdown import as_markdown_image, markdown_table
from teams_dagster.streams import content_hash


class ComparisonSettings(AssetConfig):
    """How the policy is compared."""

    episodes_per_seed: int = Field(default=4, ge=1, description="Episodes from each held-out seed.")
    resamples: int = Field(default=2000, ge=200, description="Bootstrap resamples.")
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")

    def comparison(self) -> ComparisonConfig:
        """The method's own configuration."""
        return ComparisonConfig(**self.model_dump(exclude={"force"}))


@dg.asset(
    group_name="policy",
    deps=[seed_instructions, trained_policy],
    kinds={"python", "parquet"},
    owners=OWNERS,
    code_version="1",
    description="The trained policy against uniform (what Evol-Instruct does) and other baselines on seeds it was never"
    " trained on, with paired 95% intervals. Nothing paid depends on it.",
)
def policy_comparison(
    context: dg.AssetExecutionContext, config: ComparisonSettings, store: ArtefactStore, models: LanguageModels
) -> dg.MaterializeResult:
    """Run every policy on the held-out seeds and score it."""
    seeds, policy = store.current("seed_instructions"), store.current("trained_policy")
    where = CallContext(context.run.run_id, "policy_comparison")
    inputs = comparison_inputs(seeds, policy, models)

    def make(draft: Draft) -> None:
        earlier = output_of(context.assets_def, config, inputs).earlier(store)
        _, held_out = policy_seeds(seeds)
        expected = comparison_questions(store, held_out, config, policy, earlier)
        asking = models.asking(where, *ROLES, expected=expected, log=context.log.info)
        with EpisodeTables(draft.folder, context.run.run_id) as tables:
            comparison = loop.run(_compare(context, asking, seeds, policy, config, tables))
        write_prompts(draft.folder, context.run.run_id)
        rows = [asdict(score) | {"run_id": context.run.run_id} for score in comparison.scores]
        write_table(draft.folder, "policy_scores", rows)
        draft.finish(
            content_hash("policy_scores", [asdict(score) for score in comparison.scores]),
            {
                "flat_reward": comparison.flat_reward,
                "seeds": len(comparison.seed_ids),
                UNANSWERED: sum(tally.truncated for tally in comparison.tallies.values()),
                ASKING: asking_of(draft.folder / "transitions.parquet"),
                **outcome_facts(models, where),
            },
        )

    return make_or_reuse(
        context, store, config=config, inputs=inputs, make=make, show=_show_comparison, published=models.publish
    )


def comparison_inputs(seeds: Artefact, policy: Artefact, models: LanguageModels) -> dict[str, str]:
    """What a comparison is made from, besides its configuration."""
    return {
        "seed_instructions": seeds.data_version,
        "trained_policy": policy.data_version,
        "prompts": prompts_version(),
        **models.versions(*ROLES),
    }


def comparison_questions(
    store: ArtefactStore,
    held_out: dict[str, Instruction],
    config: ComparisonSettings,
    policy: Artefact | None,
    earlier: Artefact | None,
) -> list[Expected]:
    """What a comparison on `held_out` will ask, by what earlier ones asked; `policy` is None before it is trained."""
    episodes = still_open(earlier, compared_episodes(len(held_out), config.comparison()))
    seen = paces_of(store.all_of("policy_comparison"))
    return rewriting(Role.INSTRUCTOR, episodes, held_out.values(), seen, last_pace(policy) if policy else UNTRAINED)


async def _compare(
    context: dg.AssetExecutionContext,
    asking: AbstractAsyncContextManager[Engine],
    seeds: Artefact,
    policy: Artefact,
    config: ComparisonSettings,
    tables: EpisodeTables,
) -> Comparison:
    checkpoint = load_policy(policy)
    training_seeds, held_out = policy_seeds(seeds)
    episodes = compared_episodes(len(held_out), config.comparison())
    async with (
        asking as engine,
        Progress(episodes, "episodes", engine.tallies, context.log.info, kept="edits accepted") as progress,
    ):
        environment = Environment(engine, Pool(training_seeds.values()), checkpoint.config.reward, Role.INSTRUCTOR)
        return await compare(
            environment,
            contenders([(checkpoint.actor(), checkpoint.policy_version)]),
            held_out,
            config.comparison(),
            trained_on=training_seeds,
            sink=lambda _name, episodes: tables.record(episodes),
            on_episode=lambda episode: progress.done(episode.accepted),
            progress=context.log.info,
        )


def read_policy_scores(artefact: Artefact) -> list[Score]:
    """The rows of table `policy_scores` in an artefact."""
    rows = pq.read_table(artefact.path("policy_scores.parquet")).drop_columns(["run_id"]).to_pylist()
    return [Score(**row) for row in rows]


def _show_comparison(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    from teams_dagster.report import pictures

    scores = read_policy_scores(artefact)
    trained = {score.metric: score for score in scores if score.policy == "trained"}
    table = [(s.policy, s.metric, f"{s.mean:.3f}", f"{s.ci_low:.3f} to {s.ci_high:.3f}", s.queries) for s in scores]
    return {
        "accepted_per_query": trained["accepted_per_query"].mean,
        "accepted_per_query_over_uniform": trained["accepted_per_query_over_uniform"].mean,
        "accepted_per_episode": trained["accepted_per_episode"].mean,
        "flat_reward": str(artefact.facts["flat_reward"]),
        "policies": dg.MetadataValue.md(
            as_markdown_image(pictures.policies_compared(scores, "accepted_per_query"), "Policies compared")
        ),
        "scores": dg.MetadataValue.md(markdown_table(("policy", "metric", "mean", "95% interval", "questions"), table)),
        **outcome_metadata(artefact.facts),
    }
