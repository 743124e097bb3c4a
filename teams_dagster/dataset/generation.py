"""A generation: one regeneration of the dataset, begun by writing down what it is a function of.

The manifest is history. Making a generation again follows it, so what was answered is never asked anew: not after the
policy was retrained, not after the seeds changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import ModelIdentity, identity_of
from teams_dagster.core.rng import uniform
from teams_dagster.dataset.pair_settings import ONE_ANSWER, PairSettings

FRESH_STRIDE = 10_000
"""How far one `fresh` regeneration moves the replicas: far beyond any number of weekly partitions."""

ROUND_STRIDE = 1_000_000
"""How far the replicas of a seed's further episodes lie from those of its first: beyond any generation's."""


@dataclass(frozen=True)
class GenerationManifest:
    """What one generation is made from. JSON in, JSON out."""

    partition_key: str
    policy_version: str
    seeds_version: str
    """Data version of the seed artefact that holds the seeds' texts."""
    replicas: tuple[tuple[str, int], ...]
    """(seed_id, replica) of every seed of the generation, in order of seed_id."""
    prompt_versions: tuple[tuple[str, str], ...]
    """(name, version) of every prompt template."""
    models: tuple[tuple[str, ModelIdentity], ...]
    """(role, model) of every role that is asked."""
    root_seed: int
    fresh: int = 0
    """How often the generation was made anew on purpose."""
    target_samples: int | None = None
    """The rows of the dataset that it is to bring; None: what one episode from each seed brings."""
    episodes_per_seed: int = 1
    """Episodes from each seed at most; more than one only on the way to a target."""
    forced_schedule: bool = False
    """Whether the paper's schedule is forced on the policy."""
    counted: PairSettings = ONE_ANSWER
    """What a pair has to be to count towards the target."""

    @property
    def version(self) -> str:
        """Content hash of the whole manifest."""
        return content_hash("generation", self._values())

    def to_json(self) -> str:
        """Readable JSON, the same bytes for the same manifest."""
        return json.dumps(self._values(), indent=1, sort_keys=True) + "\n"

    def play_order(self) -> list[tuple[str, int]]:
        """(seed_id, replica) as the seeds are played: by id; on the way to a target as they were drawn.

        A target is reached before every seed was played, and ids would then pick the same seeds every week.
        """
        if self.target_samples is None:
            return list(self.replicas)
        replicas = dict(self.replicas)
        return [(seed_id, replicas[seed_id]) for seed_id in drawn_order(replicas, self.root_seed, self.partition_key)]

    def same_but_for_target(self, other: GenerationManifest) -> bool:
        """Whether both play the same episodes, one of them further than the other."""
        return self == other.to_target(self.target_samples, self.episodes_per_seed, self.counted)

    def to_target(
        self, target_samples: int | None, episodes_per_seed: int, counted: PairSettings
    ) -> GenerationManifest:
        """The same episodes, played as far as this target takes."""
        return replace(self, target_samples=target_samples, episodes_per_seed=episodes_per_seed, counted=counted)

    def _values(self) -> dict[str, Any]:
        """Plain values. What a manifest of an earlier version did not have is left out where it is not set, and a model
        that is not held to its replies is written as it always was: the version stays.
        """
        values = asdict(self)
        if self.target_samples is None:
            del values["target_samples"], values["episodes_per_seed"]
        if not self.forced_schedule:
            del values["forced_schedule"]
        if self.counted == ONE_ANSWER:
            del values["counted"]
        for _, model in values["models"]:
            if model["structured"] is None:
                del model["structured"]
        return values

    @classmethod
    def from_json(cls, text: str) -> GenerationManifest:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        for name in ("replicas", "prompt_versions"):
            values[name] = tuple(tuple(pair) for pair in values[name])
        values["counted"] = PairSettings.from_values(values.get("counted"))
        values["models"] = tuple((role, identity_of(identity)) for role, identity in values["models"])
        return cls(**values)


class PolicyFromOtherModels(ValueError):
    """A policy that was trained with another kind of models than it is to steer."""


class GenerationChanged(ValueError):
    """An unfinished generation that cannot be continued as it was begun."""


def choose_seeds(seed_ids: Iterable[str], count: int, root_seed: int, partition_key: str) -> tuple[str, ...]:
    """`count` seeds of this generation (all of them when there are fewer), in order of id.

    Each seed's lot belongs to (root seed, partition, seed), so that adding seeds to the file changes little.
    """
    return tuple(sorted(drawn_order(seed_ids, root_seed, partition_key)[:count]))


def drawn_order(seed_ids: Iterable[str], root_seed: int, partition_key: str) -> list[str]:
    """Seeds in the order in which a generation draws them."""
    return sorted(seed_ids, key=lambda seed_id: (uniform(root_seed, "generation", partition_key, seed_id), seed_id))


def replicas_for(
    seed_ids: Sequence[str], others: Iterable[GenerationManifest], fresh: int, *, own: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """Each seed with a replica that no other generation used: a new generation buys new answers.

    Weekly generations in their order get 0, 1, 2, ...; one that is made late gets the next one too. `others` are the
    manifests of the other partitions; `own` are the replicas of this generation when it was begun before, which stay;
    `fresh` moves all of them on purpose.
    """
    used: dict[str, int] = {}
    for other in others:
        for seed_id, replica in other.replicas:
            used[seed_id] = max(used.get(seed_id, -1), replica % FRESH_STRIDE)
    return tuple(
        (seed_id, (own[seed_id] % FRESH_STRIDE if seed_id in own else used.get(seed_id, -1) + 1) + FRESH_STRIDE * fresh)
        for seed_id in sorted(seed_ids)
    )


def check_continuable(
    manifest: GenerationManifest, prompt_versions: Mapping[str, str], models: Mapping[str, ModelIdentity]
) -> None:
    """Refuse to finish a generation with other prompts or models than it was begun with.

    Raises GenerationChanged naming what changed and the two ways on.
    """
    now, then = _named(prompt_versions, models), _named(dict(manifest.prompt_versions), dict(manifest.models))
    changed = [f"{name}: {then[name]} -> {now.get(name, 'nothing')}" for name in then if now.get(name) != then[name]]
    if changed:
        raise GenerationChanged(
            f"generation {manifest.partition_key} was begun with other settings ({'; '.join(changed)}): restore them to"
            " finish it, or run it with `fresh: true` to make it anew"
        )


def check_judge(manifest: GenerationManifest, judge: str) -> None:
    """Refuse to finish a generation with another `judge` than the one whose ratings count towards its target.

    Raises GenerationChanged naming both and the two ways on.
    """
    if manifest.counted.asks_judge and manifest.counted.judge != judge:
        raise GenerationChanged(
            f"generation {manifest.partition_key} was counted with another judge: {manifest.counted.judge} -> {judge}:"
            " restore it (TEAMS_JUDGE_MODEL, TEAMS_PROMPTS) to finish it, or run it with `target_samples`, which has"
            " the judge of now rate its pairs anew"
        )


def _named(prompt_versions: Mapping[str, str], models: Mapping[str, ModelIdentity]) -> dict[str, str]:
    """Everything that a generation's queries depend on, by a name that people understand."""
    prompts = {f"prompt {name}": version for name, version in prompt_versions.items()}
    return prompts | {f"model of {role}": str(identity) for role, identity in models.items()}


def check_trained_for(*, trained: tuple[ModelIdentity, ...], used: tuple[ModelIdentity, ...], allowed: bool) -> None:
    """Refuse to let a policy that learnt with rules steer language models, or the other way round.

    What pays with one kind of model need not pay with another. Raises PolicyFromOtherModels unless `allowed`.
    """
    kinds = [{identity.provider == "offline" for identity in identities} for identities in (trained, used)]
    if kinds[0] != kinds[1] and not allowed:
        then, now = (", ".join(f"{i.provider}/{i.model}" for i in identities) for identities in (trained, used))
        raise PolicyFromOtherModels(
            f"the policy was trained with {then} and this generation asks {now}: train it with models of that kind"
            " (job train_policy), or set `foreign_policy: true` to use it all the same"
        )
