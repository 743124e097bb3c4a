"""What a run of the paid assets would ask, given what is stored: the walk behind `teams estimate`. Writes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import dagster as dg

from assets.dataset.config import AnswersConfig, GenerationConfig, PairScoresConfig, ResponsesConfig, counted_pairs
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.pair_scores import pair_scores
from assets.evaluation.config import JudgeConfig
from assets.evaluation.judged_win_rate import judged_win_rate
from assets.materialize import AssetConfig, output_of, reusable
from assets.policy.config import ComparisonSettings, PolicyConfig
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from assets.preflight import tried_episodes, tried_first
from assets.seeds import seed_instructions
from assets.uniform_arm.instructions import uniform_instructions
from assets.uniform_arm.responses import uniform_responses
from resources.language_models.opening import as_configured
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.dataset.manifests import (
    ROLES,
    check_as_begun,
    check_retry,
    kept_manifest,
    never_finished,
    new_manifest,
    read_manifest,
    refuse_unfinished,
)
from teams_dagster.dataset.pair_settings import JUDGE, ONE_ANSWER, PairSettings
from teams_dagster.dataset.playing import generation_inputs, generation_policy, generation_reward, generation_seeds
from teams_dagster.dataset.query_forecast import (
    generation_questions,
    response_questions,
    samples_there,
    stats_of_generations,
    target_questions,
)
from teams_dagster.dataset.responses import answered_before, refuse_unanswered, retried_settings
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.scoring import SCORES, judge_named, rating_queries, ratings_later, scores_inputs
from teams_dagster.dataset.steering import policy_known
from teams_dagster.dataset.stored import ANSWERS_EACH, answers_settings, read_examples, responses_inputs
from teams_dagster.dataset.target import refuse_target_unread
from teams_dagster.dataset.uniform import generation_beside, uniform_episodes, uniform_questions
from teams_dagster.evaluation.judged_answers import judging_inputs
from teams_dagster.evaluation.judging_forecast import judging_questions
from teams_dagster.instructions.seed_splits import HELD_OUT_FROM, seed_clusters
from teams_dagster.instructions.seeds import Seed, load_seeds
from teams_dagster.instructions.stored_seeds import read_clusters, read_seeds, seed_inputs, seed_sources
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.costs import existing_ledger
from teams_dagster.ledger.writer import Ledger
from teams_dagster.policy.checkpoint import divide, load_policy, policy_inputs
from teams_dagster.policy.comparison.forecast import comparison_questions
from teams_dagster.policy.comparison.stored import comparison_inputs
from teams_dagster.policy.query_forecast import (
    STEADY,
    UNTRAINED,
    EpisodeStats,
    answering_later,
    episodes_of,
    last_stats,
    training_questions,
)
from teams_dagster.pricing.forecast import Estimate, QueryForecast, estimate
from teams_dagster.pricing.paid_assets import BATCHED, UNIFORM_PAID
from teams_dagster.pricing.prices import PriceTable, load_prices
from teams_dagster.settings import Settings
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.kept_ledger import require_kept_ledger
from teams_dagster.student.stored import ADAPTERS


@dataclass(frozen=True)
class Step:
    """What materialising one paid asset would ask."""

    asset_key: str
    expected: tuple[QueryForecast, ...]
    reused: bool
    """Its output exists already."""


@dataclass(frozen=True)
class Walk:
    """A run that might be started: of the assets `wanted`, for one generation, with run configuration by asset.

    An asset that is not wanted is taken as it is stored; what would be made anew, before it exists, is not known, and
    neither is then what is made from it.
    """

    store: ArtefactStore
    models: LanguageModels
    partition_key: str
    configs: Mapping[str, Mapping[str, Any]]
    wanted: Collection[str]

    def steps(self) -> list[Step]:
        """The wanted paid assets in their order. Raises what the run would raise before its first query."""
        seeds = self._seeds()
        library, clusters = _library(self.models) if seeds is None else (read_seeds(seeds), read_clusters(seeds))
        train, held_out = divide(library, clusters)
        policy, training = self._policy(seeds, train)
        comparing = self._comparison(seeds, policy, train, held_out)
        generated, generating, answering = self._generation(seeds, policy, [seed.instruction for seed in library])
        if generated is not None:
            answering = self._responses(generated)
        made = [step for step in (generating, answering) if step.asset_key in self.wanted]
        coming = [kind for step in made for kind in step.expected if kind.most and kind.purpose is Purpose.RESPOND]
        rated = any(kind.purpose is Purpose.RATE for kind in generating.expected)
        scoring = Step(SCORES, (), False) if rated else self._scoring(coming, [seed.instruction for seed in library])
        judging = self._judging(coming, library)
        steps = (training, comparing, generating, answering, scoring, judging, *self._uniform())
        return [step for step in steps if step.asset_key in self.wanted]

    def _uniform(self) -> list[Step]:
        """The steps of the uniform arm beside the generation that is stored. Raises ArtefactMissing without one."""
        if not set(UNIFORM_PAID) & set(self.wanted):
            return []
        config = AssetConfig(**self.configs.get("uniform_instructions", {}))
        beside = generation_beside(self.store, self.partition_key)
        output = output_of(uniform_instructions, config, beside.inputs, settings={}, partition_key=self.partition_key)
        earlier = output.earlier(self.store)
        made = reusable(config, earlier)
        wanted = "uniform_instructions" in self.wanted
        if wanted and made is None:
            check_as_begun(beside.trained, self.models.identities(*ROLES))
        texts = list(generation_seeds(self.store, beside.trained).values())
        expected = [] if made else uniform_questions(self.store, beside, earlier)
        playing = Step("uniform_instructions", tuple(expected), made is not None)
        generated = made if wanted else self._stored("uniform_instructions", self.partition_key)
        if generated is not None:
            return [playing, self._responses(generated, uniform_responses)]
        stats = stats_of_generations(self.store, "uniform_instructions")
        reward = generation_reward(self.store, beside.trained)
        later = answering_later(uniform_episodes(beside, stats, reward), texts, stats, STEADY)
        return [playing, Step("uniform_responses", tuple(later), False)]

    def _tried(self, asset_key: str, rewriter: Role) -> EpisodeStats | None:
        """What a preflight says of the episodes of an asset that is wanted."""
        return tried_episodes(self.models, rewriter) if asset_key in self.wanted else None

    def _stored(self, asset_key: str, partition_key: str | None = None) -> Artefact | None:
        exists = self.store.exists(asset_key, partition_key)
        return self.store.current(asset_key, partition_key) if exists else None

    def _seeds(self) -> Artefact | None:
        if "seed_instructions" not in self.wanted:
            return self._stored("seed_instructions")
        config = AssetConfig(**self.configs.get("seed_instructions", {}))
        output = output_of(seed_instructions, config, seed_inputs(*_seed_sources(self.models)))
        return reusable(config, output.earlier(self.store))

    def _policy(self, seeds: Artefact | None, train: dict[str, Instruction]) -> tuple[Artefact | None, Step]:
        config = PolicyConfig(**self.configs.get("trained_policy", {}))
        training, output = config.training(self.models.generation_prices), None
        if seeds is not None:
            versions = self.models.versions(*training.roles)
            inputs = policy_inputs(seeds, training, versions, config.kl_reference.policy_version)
            output = output_of(trained_policy, config, inputs, settings=training.model_dump(mode="json"))
        made = None if output is None else reusable(config, output.earlier(self.store))
        missing = self.models.probabilities_missing(training.reward)
        if missing is not None and made is None and "trained_policy" in self.wanted:
            raise missing
        tried = self._tried("trained_policy", Role.INSTRUCTOR)
        expected = [] if made else training_questions(self.store, train, training, output, tried)
        known = made if "trained_policy" in self.wanted else self._stored("trained_policy")
        return known, Step("trained_policy", tuple(expected), made is not None)

    def _comparison(
        self,
        seeds: Artefact | None,
        policy: Artefact | None,
        train: dict[str, Instruction],
        held_out: dict[str, Instruction],
    ) -> Step:
        config = ComparisonSettings(**self.configs.get("policy_comparison", {}))
        trained = PolicyConfig(**self.configs.get("trained_policy", {}))
        training, reference = trained.training(self.models.generation_prices), bool(trained.kl_reference.policy_version)
        if policy is not None:
            checkpoint = load_policy(policy)
            training, reference = checkpoint.config, checkpoint.origin.reference_version is not None
        plan, earlier = config.plan(training, self.models.identities(*training.roles), referenced=reference), None
        if seeds is not None and policy is not None:
            inputs = comparison_inputs(
                seeds,
                policy,
                self.models.versions(*plan.roles(training)),
                self.models.known_generation_prices(training.reward),
                plan,
            )
            earlier = output_of(policy_comparison, config, inputs, settings=plan.settings()).earlier(self.store)
        made = reusable(config, earlier)
        tried = self._tried("policy_comparison", Role.INSTRUCTOR)
        asked = comparison_questions(self.store, train, held_out, plan, training, policy, earlier, tried)
        expected = [] if made else asked
        return Step("policy_comparison", tuple(expected), made is not None)

    def _generation(
        self, seeds: Artefact | None, policy: Artefact | None, library: list[Instruction]
    ) -> tuple[Artefact | None, Step, Step]:
        """The generation's output where it is known, its step, and that of its answers where it is not."""
        config = GenerationConfig(**self.configs.get("generated_instructions", {}))
        wanted = "generated_instructions" in self.wanted
        rotation = self.models.settings().seed_rotation_weeks
        settings, identities = config.settings(rotation, self._counted(config)), partial(self.models.identities, *ROLES)
        manifest = kept_manifest(self.store, self.partition_key, settings, identities)
        if wanted:
            check_retry(settings)
            if config.only_failed and manifest is None:
                raise never_finished(self.partition_key)
        known, policy = policy_known(self.store, settings.policy, policy)
        if wanted and manifest is None and seeds is not None and known:
            manifest = new_manifest(self.store, self.partition_key, settings, identities, seeds, policy)
        earlier, episodes, texts = None, min(config.seeds, ceil(len(library) / rotation)), library
        if manifest is not None:
            inputs, week = generation_inputs(manifest), self.partition_key
            output = output_of(generated_instructions, config, inputs, settings={}, partition_key=week)
            earlier = output.earlier(self.store)
            policy = generation_policy(self.store, manifest)
            texts = list(generation_seeds(self.store, manifest).values())
            episodes = len(texts)
        made = reusable(config, earlier)
        if wanted and manifest is not None:
            refuse_unfinished(settings, manifest, earlier)
            if made is None:
                check_as_begun(manifest, identities())
        tried = self._tried("generated_instructions", Role.EXPERT)
        unknown = STEADY if known or manifest is not None else UNTRAINED
        to_be_trained = PolicyConfig(**self.configs.get("trained_policy", {}))
        trained_by = to_be_trained.training(self.models.generation_prices).reward
        reviews = None if known or manifest is not None else trained_by.reviews_an_edit
        target = manifest.target_samples if manifest is not None else settings.target_samples
        if target is not None:
            most = episodes * (manifest or config).episodes_per_seed
            there = samples_there(self.store, manifest) if manifest is not None else 0
            counted = manifest.counted if manifest is not None else settings.counted
            asked = target_questions(
                self.store,
                target,
                most,
                texts,
                policy,
                tried,
                unknown,
                there=there,
                reviews_an_edit=reviews,
                counted=counted,
            )
            later = ()
        else:
            asked = generation_questions(self.store, episodes, texts, policy, earlier, tried, unknown, reviews)
            stated = last_stats(policy) if policy else unknown
            seen = stats_of_generations(self.store) or episodes_of(stated, tried)
            several = AnswersConfig(**self.configs.get("expert_responses", {})).answers
            later = [kind.times(several) for kind in answering_later(episodes, texts, seen, stated)]
        step = Step("generated_instructions", () if made else tuple(asked), made is not None)
        if not wanted:
            made = self._stored("generated_instructions", self.partition_key)
        return made, step, Step("expert_responses", tuple(later), False)

    def _counted(self, config: GenerationConfig) -> PairSettings:
        """What a pair has to be to count towards the generation's target."""
        if config.target_samples is None or "generated_instructions" not in self.wanted:
            return ONE_ANSWER
        refuse_target_unread(config.target_samples, self.models.settings().pairs_mode)
        counted = counted_pairs(self.store, self.partition_key, self.configs)
        return counted.rated_by(judge_named(self.models.versions(Role.JUDGE))) if counted.asks_judge else counted

    def _responses(self, generated: Artefact, asset: dg.AssetsDefinition = expert_responses) -> Step:
        key = asset.key.to_user_string()
        config = (AnswersConfig if asset is expert_responses else ResponsesConfig)(**self.configs.get(key, {}))
        answers = config.answers if isinstance(config, AnswersConfig) else 1
        inputs, week = responses_inputs(generated), generated.manifest["partition_key"]
        settings = config.deciding | answers_settings(answers)
        if key in self.wanted and config.only_failed:
            refuse_unanswered(self.store, generated)
            settings = retried_settings(self.store, generated, settings)
        answers = settings.get(ANSWERS_EACH, 1)
        output = output_of(asset, config, inputs, settings=settings, partition_key=week)
        earlier = output.earlier(self.store)
        made = reusable(config, earlier)
        if key in self.wanted and made is None:
            check_as_begun(read_manifest(generated), self.models.identities(*ROLES))
        earlier = earlier or answered_before(self.store, generated)
        expected = [] if made else response_questions(generated, earlier, answers)
        return Step(key, tuple(expected), made is not None)

    def _scoring(self, coming: Sequence[QueryForecast], like: list[Instruction]) -> Step:
        """Pairs are scored once they are there: of answers that are still to come, each is rated at most."""
        config = PairScoresConfig(**self.configs.get("pair_scores", {}))
        scored_by = config.scorer(self.store, self.partition_key)
        if SCORES not in self.wanted or scored_by != JUDGE:
            return Step(SCORES, (), False)
        if coming:
            return Step(SCORES, tuple(ratings_later(kind, like) for kind in coming), False)
        responses = self._stored("expert_responses", self.partition_key)
        if responses is None:
            return Step(SCORES, (), False)
        judge, settings = self.models.versions(Role.JUDGE), {"scored_by": scored_by}
        inputs, week = scores_inputs(responses, scored_by, judge), self.partition_key
        earlier = output_of(pair_scores, config, inputs, settings=settings, partition_key=week).earlier(self.store)
        made = reusable(config, earlier)
        expected = () if made else tuple(rating_queries(self.store, responses, earlier, judge))
        return Step(SCORES, expected, made is not None)

    def _judging(self, coming: Sequence[QueryForecast], library: list[Seed]) -> Step:
        """The models are taken as they are stored, unless new answers are to come: what learns from these is new."""
        if "judged_win_rate" not in self.wanted:
            return Step("judged_win_rate", (), False)
        config = JudgeConfig(**self.configs.get("judged_win_rate", {}))
        dataset, earlier = self._stored("instruction_dataset"), None
        names = {name: f"{name}_model" for name in ("base", *ADAPTERS)}
        students = {name: stored for name, key in names.items() if (stored := self._stored(key)) is not None}
        if dataset is not None and students.keys() == names.keys() and not coming:
            inputs = judging_inputs(students, dataset, self.models.versions(Role.JUDGE))
            earlier = output_of(judged_win_rate, config, inputs).earlier(self.store)
            if reusable(config, earlier) is not None:
                return Step("judged_win_rate", (), True)
        held_out = read_examples(dataset, "held_out") if dataset is not None else []
        counts = [len(held_out)] * 3
        for kind in coming:  # of the answers to come about as many are held out as seeds are; at most all of them
            share = 1 - HELD_OUT_FROM
            more = (int(share * kind.least), round(share * kind.likely), kind.most)
            counts = [count + new for count, new in zip(counts, more, strict=True)]
        like = held_out or [Example(seed.seed_id, seed.seed_id, seed.instruction, seed.response) for seed in library]
        expected = judging_questions(config.questions, config.max_new_tokens, counts, like, earlier)
        return Step("judged_win_rate", tuple(expected), False)


@dataclass(frozen=True)
class RunEstimate:
    """What a run would ask and take."""

    steps: tuple[tuple[str, Estimate, bool], ...]
    """Each paid asset, its estimate, and whether its output exists already."""
    total: Estimate
    roles: tuple[Role, ...]
    """Who would be asked."""
    spent: Spent
    """What this project may have been billed for so far."""
    preflight: Estimate | None = None
    """What is asked before all that, to try the roles that were not tried yet; None where none has to be."""


def estimate_run(
    settings: Settings, partition_key: str, configs: Mapping[str, Mapping[str, Any]], wanted: Collection[str]
) -> RunEstimate:
    """Estimate a run of the assets `wanted`, given run configuration by asset. Raises what the run would raise."""
    root, store = str(settings.root), ArtefactStore(data_dir=str(settings.data_dir))
    models = LanguageModels(root=root, ledger=LedgerConnection(root=root, store=store))
    steps = Walk(store, models, partition_key, configs, wanted).steps()
    everything = [kind for step in steps for kind in step.expected]
    roles = tuple(role for role in Role if any(kind.role is role and kind.most for kind in everything))
    identities, prices = models.identities(*roles), load_prices(settings.prices)
    batched = [role for role in roles if settings.role(role).transport == "batch"]
    require_kept_ledger(settings.ledger_url, settings.data_dir)
    with existing_ledger(settings.ledger_url) as ledger:

        def estimated(steps: Sequence[Step], *, batches: bool) -> Estimate:
            expected = as_configured([kind for step in steps for kind in step.expected], settings)
            return estimate(ledger, expected, identities, prices, batched=batched if batches else ())

        at_once, in_batches = ([s for s in steps if (s.asset_key in BATCHED) is batches] for batches in (False, True))
        found = tuple((s.asset_key, estimated([s], batches=s.asset_key in BATCHED), s.reused) for s in steps)
        total = (
            estimated(at_once, batches=False) + estimated(in_batches, batches=True)
            if batched
            else estimated(steps, batches=False)
        )
        ratings = any(kind.purpose is Purpose.RATE and kind.most for kind in everything)
        preflight = _preflight(ledger, models, roles, prices, ratings=ratings)
        return RunEstimate(found, total, roles, ledger.spent() if ledger else Spent(), preflight)


def _preflight(
    ledger: Ledger | None, models: LanguageModels, roles: Sequence[Role], prices: PriceTable, *, ratings: bool
) -> Estimate | None:
    expected = [kind for plan in tried_first(models, roles, ratings=ratings) for kind in plan.forecasts()]
    if not expected:
        return None
    return estimate(ledger, expected, models.identities(*{kind.role for kind in expected}), prices)


def _library(models: LanguageModels) -> tuple[list[Seed], dict[str, str]]:
    """The seeds that are configured, read anew, and the cluster of each."""
    path, evaluation_texts = _seed_sources(models)
    seeds = list(load_seeds(path, evaluation_texts=evaluation_texts).seeds)
    return seeds, seed_clusters(seeds)


def _seed_sources(models: LanguageModels) -> tuple[Path, list[str]]:
    settings = models.settings()
    return seed_sources(settings.seeds, settings.evaluation_sets)
