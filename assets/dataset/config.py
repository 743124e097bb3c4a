"""Run configuration of generations and of the answers to them."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from assets.materialize import AssetConfig
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.building import threshold_of
from teams_dagster.dataset.manifests import GenerationSettings
from teams_dagster.dataset.pair_settings import ONE_ANSWER, PairSettings, pair_settings
from teams_dagster.dataset.responses import REASONING_WORDS
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.dataset.target import LEAST_TARGET, refuse_target_unread
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import PairScoreFacts


class GenerationConfig(AssetConfig):
    """What a generation is begun with. Once begun, its manifest rules."""

    seeds: int = Field(
        default=240,
        ge=1,
        description="Seeds of this generation at most, drawn for it among those whose turn it is"
        " (`TEAMS_SEED_ROTATION_WEEKS`); all when there are fewer.",
    )
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    policy: str = Field(
        default="manifest",
        min_length=1,
        description="Who steers: `manifest`, who it was begun with, by default the trained policy; `latest`: begin this"
        " generation again with the trained policy of now; `trained`; `uniform` or `round_robin`, which need no"
        " training; the version of a policy trained before, six characters or more; or the folder that one was exported"
        " to. A generation that was begun with another than the one named begins again.",
    )
    forced_schedule: bool = Field(
        default=False,
        description="Force the schedule of the paper's code on who steers: breadth at the second and the fifth step,"
        " add_constraints in its place at the others. A generation that was begun without begins again.",
    )
    target_samples: int | None = Field(
        default=None,
        ge=LEAST_TARGET,
        description="Play, review and answer until so many samples of this generation stand in `instruction_dataset`,"
        " which then has exactly so many of it; empty: one episode from each seed. What the run says of answers, scores"
        " and `min_score` counts: answers and ratings are asked for on the way. Given again with another number, the"
        " generation goes on to that.",
    )
    episodes_per_seed: int = Field(
        default=8,
        ge=1,
        description="Ceiling on the way to `target_samples`: episodes from each of `seeds` at most. Where it or a"
        " budget ends a generation, that says how many samples there are and what the target would take.",
    )
    fresh: bool = Field(default=False, description="Begin this generation again and buy new answers, on purpose.")
    foreign_policy: bool = Field(
        default=False, description="Let a policy trained with other kinds of models steer this generation."
    )
    only_failed: bool = Field(
        default=False,
        description="Ask again what got no answer in this generation, once it was finished; never begin or finish one.",
    )

    def settings(self, rotation_weeks: int, counted: PairSettings = ONE_ANSWER) -> GenerationSettings:
        """The same as the method knows it.

        Args:
            rotation_weeks: The project's `TEAMS_SEED_ROTATION_WEEKS`.
            counted: What a pair has to be to count towards the target: see `counted_pairs`.
        """
        return GenerationSettings(
            seeds=self.seeds,
            root_seed=self.root_seed,
            latest_policy=self.policy == "latest",
            fresh=self.fresh,
            foreign_policy=self.foreign_policy,
            only_failed=self.only_failed,
            rotation_weeks=rotation_weeks,
            forced_schedule=self.forced_schedule,
            policy=None if self.policy in ("manifest", "latest") else self.policy,
            target_samples=self.target_samples,
            episodes_per_seed=self.episodes_per_seed,
            counted=counted,
        )


class ResponsesConfig(AssetConfig):
    """Which answers are asked for."""

    only_failed: bool = Field(
        default=False,
        description="Ask again what got no answer, once this generation was answered, with as many answers and with"
        " their thoughts as they were made with; never answer one for the first time.",
    )
    reasoning: bool = Field(
        default=False,
        description="Keep what the expert thought before it answered, in column `reasoning`; nothing is asked anew for"
        " it.",
    )
    max_reasoning_words: int = Field(
        default=4000,
        ge=1,
        description="With `reasoning`: an answer with more words of thought is refused (`reasoning_too_long`).",
    )

    @property
    def reasoning_words(self) -> int | None:
        """The most words of thought that a sample has; None where thoughts are not asked for."""
        return self.max_reasoning_words if self.reasoning else None

    @property
    def deciding(self) -> dict[str, int]:
        """What of this decides the samples."""
        return {} if self.reasoning_words is None else {REASONING_WORDS: self.reasoning_words}


class AnswersConfig(ResponsesConfig):
    """How many answers each instruction is given."""

    answers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Answers asked for to each instruction. Of several the best by score is kept (pair_scores must be"
        " scored then), and `teams export --format preference` has a worse one beside it.",
    )


class PairScoresConfig(AssetConfig):
    """Who scores the pairs of a generation."""

    scored_by: Literal["nobody", "programs", "judge"] = Field(
        default="nobody",
        description="`nobody`: no scores, no query. `programs`: constraints that a program can check, no query."
        " `judge`: these, and the JUDGE role is asked about each pair.",
    )
    as_before: bool = Field(
        default=False, description="Whoever scored this generation's pairs before does; `scored_by` where nobody did."
    )

    def scorer(self, store: ArtefactStore, partition: str) -> str:
        """Who scores the pairs of a generation."""
        if not (self.as_before and store.exists(SCORES, partition)):
            return self.scored_by
        return store.current(SCORES, partition).read_facts(PairScoreFacts).scored_by


class DatasetConfig(AssetConfig):
    """Which pairs may enter the dataset."""

    min_score: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Pairs that pair_scores gives less are dropped, by name; pairs without a score are not. 0: nothing"
        " is dropped. 0.5 keeps good and partly good pairs, 1 good ones only.",
    )
    as_before: bool = Field(
        default=False, description="The threshold of the current dataset; `min_score` where there is no dataset yet."
    )

    def threshold(self, store: ArtefactStore) -> float:
        """The lowest score that is kept."""
        if not (self.as_before and store.exists(TRAINED_ARM.dataset)):
            return self.min_score
        return threshold_of(store.current(TRAINED_ARM.dataset))


def counted_pairs(
    store: ArtefactStore,
    partition: str,
    target: int | None,
    configs: Mapping[str, Mapping[str, Any]],
    *,
    pairs_mode: str,
    judge: Callable[[], str],
) -> PairSettings:
    """What a pair has to be to count towards the `target` of a generation, by the whole run's configuration by asset.

    Args:
        store: Holds the scores and the dataset that a configuration may follow (`as_before`).
        partition: The generation.
        target: The samples that it is to bring; None: it has no target, and nothing is counted.
        configs: The whole run's configuration by asset.
        pairs_mode: The project's `TEAMS_PAIRS_MODE`.
        judge: Names who rates; called only where the judge is asked.

    Raises NobodyScores for a threshold, or several answers, without scores.
    """
    if target is None:
        return ONE_ANSWER
    refuse_target_unread(target, pairs_mode)
    answers = AnswersConfig(**configs.get("expert_responses", {}))
    counted = pair_settings(
        answers=answers.answers,
        reasoning_words=answers.reasoning_words,
        scored_by=PairScoresConfig(**configs.get(SCORES, {})).scorer(store, partition),
        min_score=DatasetConfig(**configs.get(TRAINED_ARM.dataset, {})).threshold(store),
    )
    return counted.rated_by(judge()) if counted.asks_judge else counted
