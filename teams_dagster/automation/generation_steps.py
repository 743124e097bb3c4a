"""What a generation, its answers and their scores would ask, given what is stored; the uniform arm's beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, TypeVar

import dagster as dg

from assets.dataset.config import AnswersConfig, GenerationConfig, PairScoresConfig, ResponsesConfig, counted_pairs
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.pair_scores import pair_scores
from assets.materialize import AssetConfig, output_of, reusable
from assets.policy.config import PolicyConfig
from assets.preflight import tried_episodes
from assets.uniform_arm.assets import uniform_instructions, uniform_responses
from resources.language_models.roles import LanguageModels
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.generation import GenerationManifest, check_judge
from teams_dagster.dataset.manifests import (
    ROLES,
    GenerationSettings,
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
from teams_dagster.dataset.scoring import SCORES, judge_named, rating_queries, ratings_later, scores_inputs
from teams_dagster.dataset.steering import policy_known
from teams_dagster.dataset.stored import ANSWERS_EACH, answers_settings, responses_inputs
from teams_dagster.dataset.uniform import generation_beside, uniform_episodes, uniform_questions
from teams_dagster.instructions.seeds import seed_id_of
from teams_dagster.policy.query_forecast import (
    STEADY,
    UNTRAINED,
    EpisodeStats,
    answering_later,
    episodes_of,
    last_stats,
)
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.pricing.paid_assets import UNIFORM_PAID
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """What materialising one paid asset would ask."""

    asset_key: str
    expected: tuple[QueryForecast, ...]
    reused: bool
    """Its output exists already."""


@dataclass(frozen=True)
class _Known:
    """What is known of a generation before it is played."""

    settings: GenerationSettings
    manifest: GenerationManifest | None
    """None where what it would be begun with does not exist yet."""
    policy: Artefact | None
    """The trained policy that steers it; None where none does, or where it is not there."""
    policy_known: bool
    """Whether it is known who steers it."""
    earlier: Artefact | None
    """Its output so far."""
    texts: list[Instruction]
    """The seeds that it is drawn from."""
    episodes: int
    """As many as it has seeds."""

    @property
    def target(self) -> int | None:
        """The samples that it is to bring, where it is to bring so many."""
        return self.settings.target_samples if self.manifest is None else self.manifest.target_samples

    @property
    def unknown(self) -> EpisodeStats:
        """What an episode is taken to ask where no policy says so."""
        return STEADY if self.policy_known else UNTRAINED


@dataclass(frozen=True)
class PlannedRun:
    """A run that might be started: of the assets `wanted`, for one generation, with run configuration by asset."""

    store: ArtefactStore
    models: LanguageModels
    partition_key: str
    configs: Mapping[str, Mapping[str, Any]]
    wanted: Collection[str]

    def tried(self, asset_key: str, rewriter: Role) -> EpisodeStats | None:
        """What a preflight says of the episodes of an asset that is wanted."""
        return tried_episodes(self.models, rewriter) if asset_key in self.wanted else None

    def stored(self, asset_key: str, partition_key: str | None = None) -> Artefact | None:
        """The current output of an asset, where it has one."""
        exists = self.store.exists(asset_key, partition_key)
        return self.store.current(asset_key, partition_key) if exists else None


@dataclass(frozen=True)
class GenerationSteps:
    """The steps of a run's generation: playing, answers and scores, and the uniform arm's."""

    run: PlannedRun

    def uniform(self) -> list[Step]:
        """The steps of the uniform arm beside the generation that is stored. Raises ArtefactMissing without one."""
        if not set(UNIFORM_PAID) & set(self.run.wanted):
            return []
        config = AssetConfig(**self.run.configs.get("uniform_instructions", {}))
        beside = generation_beside(self.run.store, self.run.partition_key)
        output = output_of(
            uniform_instructions, config, beside.inputs, settings={}, partition_key=self.run.partition_key
        )
        earlier = output.earlier(self.run.store)
        made = reusable(config, earlier)
        wanted = "uniform_instructions" in self.run.wanted
        if wanted and made is None:
            check_as_begun(beside.trained, self.run.models.identities(*ROLES))
        texts = list(generation_seeds(self.run.store, beside.trained).values())
        expected = [] if made else uniform_questions(self.run.store, beside, earlier)
        playing = Step("uniform_instructions", tuple(expected), made is not None)
        generated = made if wanted else self.run.stored("uniform_instructions", self.run.partition_key)
        if generated is not None:
            return [playing, self.responses(generated, uniform_responses)]
        stats = stats_of_generations(self.run.store, "uniform_instructions")
        reward = generation_reward(self.run.store, beside.trained)
        later = answering_later(uniform_episodes(beside, stats, reward), texts, stats, STEADY)
        return [playing, Step("uniform_responses", tuple(later), False)]

    def generation(
        self, seeds: Artefact | None, policy: Artefact | None, library: list[Instruction]
    ) -> tuple[Artefact | None, Step, Step]:
        """The generation's output where it is known, its step, and that of its answers where it is not."""
        config = GenerationConfig(**self.run.configs.get("generated_instructions", {}))
        wanted = "generated_instructions" in self.run.wanted
        known = self._known(config, seeds, policy, library)
        manifest, made = known.manifest, reusable(config, known.earlier)
        if wanted and manifest is not None:
            refuse_unfinished(known.settings, manifest, known.earlier)
            if made is None:
                check_as_begun(manifest, self.run.models.identities(*ROLES))
                if manifest.counted.asks_judge:
                    check_judge(manifest, self._judge())
        if known.target is None:
            asked, later = self._played_once(known)
        else:
            asked, later = self._played_to_target(known, known.target, config), []
        step = Step("generated_instructions", () if made else tuple(asked), made is not None)
        if not wanted:
            made = self.run.stored("generated_instructions", self.run.partition_key)
        return made, step, Step("expert_responses", tuple(later), False)

    def _known(
        self, config: GenerationConfig, seeds: Artefact | None, policy: Artefact | None, library: list[Instruction]
    ) -> _Known:
        """What is known of the generation. Raises what beginning it would raise, where it is wanted."""
        wanted, rotation = "generated_instructions" in self.run.wanted, self.run.models.settings().seed_rotation_weeks
        settings = config.settings(rotation, self._counted(config) if wanted else ONE_ANSWER)
        identities = partial(self.run.models.identities, *ROLES)
        manifest = kept_manifest(self.run.store, self.run.partition_key, settings, identities)
        if wanted:
            check_retry(settings)
            if config.only_failed and manifest is None:
                raise never_finished(self.run.partition_key)
        known, policy = policy_known(self.run.store, settings.policy, policy)
        if wanted and manifest is None and seeds is not None and known:
            manifest = new_manifest(self.run.store, self.run.partition_key, settings, identities, seeds, policy)
        if manifest is None:
            episodes = min(config.seeds, ceil(len(library) / rotation))
            return _Known(settings, None, policy, known, None, library, episodes)
        inputs, week = generation_inputs(manifest), self.run.partition_key
        output = output_of(generated_instructions, config, inputs, settings={}, partition_key=week)
        seeded = self._unless_made("seed_instructions", partial(generation_seeds, self.run.store, manifest))
        if seeded is None:
            found = {seed_id_of(instruction): instruction for instruction in library}
            seeded = {seed_id: found[seed_id] for seed_id, _ in manifest.replicas if seed_id in found}
        texts = list(seeded.values())
        steering = self._unless_made("trained_policy", partial(generation_policy, self.run.store, manifest))
        return _Known(settings, manifest, steering, True, output.earlier(self.run.store), texts, len(texts))

    def _unless_made(self, asset_key: str, read: Callable[[], T]) -> T | None:
        """What `read` reads of an asset; None where that is gone, and the run makes it anew. Raises ArtefactMissing."""
        try:
            return read()
        except ArtefactMissing:
            if asset_key not in self.run.wanted:
                raise
            return None

    def _reviews(self, known: _Known) -> int | None:
        """Reviews of an edit by the policy that is still to be trained; None where it is known."""
        if known.policy_known:
            return None
        to_be_trained = PolicyConfig(**self.run.configs.get("trained_policy", {}))
        return to_be_trained.training(self.run.models.generation_prices).reward.reviews_an_edit

    def _played_to_target(self, known: _Known, target: int, config: GenerationConfig) -> list[QueryForecast]:
        """What playing to a target asks, answers and ratings included."""
        manifest = known.manifest
        return target_questions(
            self.run.store,
            target,
            known.episodes * (manifest or config).episodes_per_seed,
            known.texts,
            known.policy,
            self.run.tried("generated_instructions", Role.EXPERT),
            known.unknown,
            there=samples_there(self.run.store, manifest) if manifest is not None else 0,
            reviews_an_edit=self._reviews(known),
            counted=manifest.counted if manifest is not None else known.settings.counted,
        )

    def _played_once(self, known: _Known) -> tuple[list[QueryForecast], list[QueryForecast]]:
        """What one episode from each seed asks; and what answering it will ask."""
        tried, episodes, texts = self.run.tried("generated_instructions", Role.EXPERT), known.episodes, known.texts
        asked = generation_questions(
            self.run.store, episodes, texts, known.policy, known.earlier, tried, known.unknown, self._reviews(known)
        )
        stated = last_stats(known.policy) if known.policy else known.unknown
        seen = stats_of_generations(self.run.store) or episodes_of(stated, tried)
        several = AnswersConfig(**self.run.configs.get("expert_responses", {})).answers
        return asked, [kind.times(several) for kind in answering_later(episodes, texts, seen, stated)]

    def _counted(self, config: GenerationConfig) -> PairSettings:
        """What a pair has to be to count towards the generation's target."""
        return counted_pairs(
            self.run.store,
            self.run.partition_key,
            config.target_samples,
            self.run.configs,
            pairs_mode=self.run.models.settings().pairs_mode,
            judge=self._judge,
        )

    def _judge(self) -> str:
        """Who rates pairs."""
        return judge_named(self.run.models.versions(Role.JUDGE))

    def responses(self, generated: Artefact, asset: dg.AssetsDefinition = expert_responses) -> Step:
        """The step of the answers to a generation that is there."""
        key = asset.key.to_user_string()
        config = (AnswersConfig if asset is expert_responses else ResponsesConfig)(**self.run.configs.get(key, {}))
        answers = config.answers if isinstance(config, AnswersConfig) else 1
        inputs, week = responses_inputs(generated), generated.manifest["partition_key"]
        settings = config.deciding | answers_settings(answers)
        if key in self.run.wanted and config.only_failed:
            refuse_unanswered(self.run.store, generated)
            settings = retried_settings(self.run.store, generated, settings)
        answers = settings.get(ANSWERS_EACH, 1)
        output = output_of(asset, config, inputs, settings=settings, partition_key=week)
        earlier = output.earlier(self.run.store)
        made = reusable(config, earlier)
        if key in self.run.wanted and made is None:
            check_as_begun(read_manifest(generated), self.run.models.identities(*ROLES))
        earlier = earlier or answered_before(self.run.store, generated)
        expected = [] if made else response_questions(generated, earlier, answers)
        return Step(key, tuple(expected), made is not None)

    def scoring(self, coming: Sequence[QueryForecast], like: list[Instruction]) -> Step:
        """Pairs are scored once they are there: of answers that are still to come, each is rated at most."""
        config = PairScoresConfig(**self.run.configs.get("pair_scores", {}))
        scored_by = config.scorer(self.run.store, self.run.partition_key)
        if SCORES not in self.run.wanted or scored_by != JUDGE:
            return Step(SCORES, (), False)
        if coming:
            return Step(SCORES, tuple(ratings_later(kind, like) for kind in coming), False)
        responses = self.run.stored("expert_responses", self.run.partition_key)
        if responses is None:
            return Step(SCORES, (), False)
        judge, settings = self.run.models.versions(Role.JUDGE), {"scored_by": scored_by}
        inputs, week = scores_inputs(responses, scored_by, judge), self.run.partition_key
        earlier = output_of(pair_scores, config, inputs, settings=settings, partition_key=week).earlier(self.run.store)
        made = reusable(config, earlier)
        expected = () if made else tuple(rating_queries(self.run.store, responses, earlier, judge))
        return Step(SCORES, expected, made is not None)
