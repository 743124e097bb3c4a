"""The preview: a few seeds of a generation are played before it is begun, in a job or by `teams preview`."""

from functools import partial

import dagster as dg
from pydantic import Field

from assets.partitions import GENERATIONS
from assets.pools import LANGUAGE_MODELS
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.core.text import visible
from teams_dagster.dataset.manifests import ROLES, GenerationSettings
from teams_dagster.dataset.preview import ANSWERS_PER_SEED, Planned, Preview, plan_preview, play_preview
from teams_dagster.instructions.stored_seeds import project_seeds, seed_sources
from teams_dagster.ledger.budgets import Budget, Limit, run_scope
from teams_dagster.ledger.costs import costs_of
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.policy.query_forecast import STEADY, answering, rewriting
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.report.seed_preview import preview_lines
from teams_dagster.store.artefact_store import ArtefactStore

PREVIEW = "preview"
"""What its queries are for, in the ledger's column `asset_key`, and the name of its budget."""


class PreviewConfig(dg.Config):
    """What is looked at. For the generation to reuse it, the fields that both have are the same."""

    looked_at: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Seeds to play: at most 15 queries each, 21 where the policy was trained with `both_orders`.",
    )
    partition: str = Field(default="", description="The generation (a Monday, YYYY-MM-DD); empty: the current week.")
    seeds: int = Field(default=240, ge=1, description="As for `generated_instructions`.")
    root_seed: int = Field(default=0, ge=0, description="As for `generated_instructions`.")
    policy: str = Field(
        default="manifest",
        min_length=1,
        description="As for `generated_instructions`; where no policy was trained, `manifest` is `uniform` here.",
    )
    foreign_policy: bool = Field(default=False, description="As for `generated_instructions`.")
    forced_schedule: bool = Field(default=False, description="As for `generated_instructions`.")

    def settings(self, rotation_weeks: int) -> GenerationSettings:
        """What the generation would be begun with, with the project's `TEAMS_SEED_ROTATION_WEEKS`."""
        return GenerationSettings(
            seeds=self.seeds,
            root_seed=self.root_seed,
            latest_policy=self.policy == "latest",
            fresh=False,
            foreign_policy=self.foreign_policy,
            only_failed=False,
            rotation_weeks=rotation_weeks,
            policy=None if self.policy in ("manifest", "latest") else self.policy,
            forced_schedule=self.forced_schedule,
        )


@dg.op(
    name="play_preview",
    description="Play a few seeds of a generation that is not begun yet: each step with what it changed, the verdict,"
    " the answer and the price. The generation reuses what is asked.",
    pool=LANGUAGE_MODELS,
)
def preview_generation(
    context: dg.OpExecutionContext,
    config: PreviewConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> str:
    """The preview as text, which is also in the metadata of the output."""
    settings = models.settings()
    path, evaluation_texts = seed_sources(settings.seeds, settings.evaluation_sets)
    library = project_seeds(path, evaluation_texts).seeds
    partition = config.partition or GENERATIONS.get_partition_keys()[-1]
    identities = partial(models.found_out, *ROLES)
    planned = plan_preview(
        store, partition, config.settings(settings.seed_rotation_weeks), identities, library, config.looked_at
    )
    models.check_reward(planned.reward)
    context.log.info(f"{len(planned.seeds)} seeds of generation {partition}: at most {planned.most_queries} queries")
    found, tallies = loop.run(_play(models, store, planned, context))
    with models.ledger.open() as ledger:
        costs = costs_of(ledger, {request for previewed in found.seeds for request in previewed.request_ids})
    text = visible("\n".join(preview_lines(planned, found, costs, tallies)))
    indented = "\n".join(f"    {line}" for line in text.splitlines())  # Markdown shows it as it is
    context.add_output_metadata(
        {"preview": dg.MetadataValue.md(indented), "queries": tallies.asked, "reused": tallies.reused}
    )
    return text


async def _play(
    models: LanguageModels, store: ArtefactStore, planned: Planned, context: dg.OpExecutionContext
) -> tuple[Preview, Tallies]:
    bound = Limit(run_scope(context.run_id, PREVIEW), Budget(queries=planned.most_queries))
    where = CallContext(context.run_id, PREVIEW, planned.manifest.partition_key)
    async with models.asking(where, *ROLES, expected=_expected(planned), log=context.log.info, named=[bound]) as engine:
        return await play_preview(store, planned, engine, bound.scope), engine.tallies


def _expected(planned: Planned) -> list[QueryForecast]:
    count, texts = len(planned.seeds), list(planned.seeds.values())
    answers, reviews = ANSWERS_PER_SEED * count, planned.reward.reviews_an_edit
    asked = rewriting(Role.EXPERT, count, texts, [], STEADY, reviews_an_edit=reviews)
    return [*asked, *answering(0, answers, answers, texts)]


@dg.job(
    name=PREVIEW,
    executor_def=dg.in_process_executor,
    description="Five seeds of a generation before it is begun, as `teams preview` shows them: steps, differences,"
    " verdicts, answers, price. At most 75 queries, 105 where the policy was trained with `both_orders`; the generation"
    " reuses them.",
)
def preview() -> None:
    """The command `teams preview` in the UI."""
    preview_generation()
