"""A store of as many samples as wanted, in generations of 100,000: seeds, instructions and answers as artefacts."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.llm.big_ledger import made_up_id
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import prompt_versions
from teams_dagster.dataset.playing import write_generation
from teams_dagster.environment.recording import instruction_row
from teams_dagster.instructions.prompts import write_prompts
from teams_dagster.instructions.seeds import Seed, SeedLibrary
from teams_dagster.instructions.stored_seeds import write_seeds
from teams_dagster.policy.baselines import UNIFORM, baseline_version
from teams_dagster.store.artefact_store import ArtefactStore, Draft
from teams_dagster.store.facts.dataset import GenerationFacts, OperationCounts, ResponseFacts
from teams_dagster.store.tables import write_table

FIRST_WEEK = date(2026, 11, 2)

SAMPLES_A_GENERATION = 100_000

SAMPLES_A_SEED = 8

WORDS = 4_000
"""Words that texts draw from: no two are near duplicates by accident."""

REPEATS_ONE_IN = 50
"""Of so many samples one is nearly the same as an earlier one."""

REFUSED_ONE_IN = 20
"""Of so many samples one was refused."""

_OPERATIONS = ("breadth", "add_constraints", "deepening", "concretizing", "increase_reasoning_steps")
_MODEL = ModelIdentity("openai", "model", "https://models.example/v1")
_RUN = "run-1"


def make_store(folder: Path, size: int) -> ArtefactStore:
    """A store in `folder` with `size` samples of episodes of 8 edits, all accepted."""
    store = ArtefactStore(str(folder))
    chance = random.Random(0)
    seeds = made_up_seeds(_seeds(size), chance)
    library = SeedLibrary(tuple(seeds), (), "seeds.jsonl", "0" * 64)
    with writing(store, "seed_instructions", None, {}) as draft:
        draft.finish(*write_seeds(draft.folder, library, _RUN))
    for first in range(0, size, SAMPLES_A_GENERATION):
        week = (FIRST_WEEK + timedelta(weeks=first // SAMPLES_A_GENERATION)).isoformat()
        samples = _made_up(first, min(SAMPLES_A_GENERATION, size - first), seeds, chance)
        _generation(store, week, seeds, list(samples))
    return store


def _seeds(size: int) -> int:
    return max(1, min(size, SAMPLES_A_GENERATION) // SAMPLES_A_SEED)


def made_up_seeds(count: int, chance: random.Random | None = None) -> list[Seed]:
    """So many seeds, the same for the same count; drawn from `chance` where more is drawn from it afterwards."""
    drawn = chance or random.Random(0)
    return [_seed(number, made_up_text(drawn, 30)) for number in range(count)]


def made_up_text(chance: random.Random, length: int) -> str:
    """So many words."""
    return " ".join(chance.choices(_made_up_words(), k=length))


@cache
def _made_up_words() -> list[str]:
    return [hashlib.blake2b(str(number).encode(), digest_size=4).hexdigest() for number in range(WORDS)]


def _seed(number: int, text: str) -> Seed:
    return Seed(made_up_id("seed", number), Instruction(f"Explain {text}."), "", "seeds.jsonl", number + 1)


@dataclass(frozen=True)
class _MadeUp:
    """A sample with the edit that made it."""

    number: int
    seed: Seed
    before: str
    """The id of the text before."""
    instruction: Instruction
    response: str

    @property
    def step(self) -> int:
        return self.number % SAMPLES_A_SEED

    @property
    def refused(self) -> bool:
        return self.number % REFUSED_ONE_IN == REFUSED_ONE_IN - 1


def _made_up(first: int, size: int, seeds: list[Seed], chance: random.Random) -> Iterator[_MadeUp]:
    before = seeds[0].instruction
    for number in range(first, first + size):
        seed = seeds[number // SAMPLES_A_SEED % len(seeds)]
        if number % SAMPLES_A_SEED == 0:
            before = seed.instruction
        told = Instruction(f"Explain {made_up_text(chance, 30)}.")
        if number % REPEATS_ONE_IN == REPEATS_ONE_IN - 1:
            told = Instruction(f"{before.text} Please.")
        yield _MadeUp(number, seed, before.instruction_id, told, f"It is {made_up_text(chance, 80)}.")
        before = told


def _generation(store: ArtefactStore, week: str, seeds: list[Seed], samples: list[_MadeUp]) -> None:
    """A generation of `samples` and its answers."""
    manifest = _manifest(store, week, seeds)
    inputs = {"generation": manifest.version}
    with writing(store, "generated_instructions", week, inputs) as draft:
        write_generation(draft.folder, _RUN, manifest)
        write_table(draft.folder, "transitions", (_transition(week, manifest, sample) for sample in samples))
        texts = {sample.instruction.instruction_id: sample.instruction for sample in samples}
        texts |= {seed.instruction.instruction_id: seed.instruction for seed in seeds}
        write_table(draft.folder, "instructions", map(instruction_row, texts.values()))
        draft.finish(made_up_id(week, 0), _generation_facts(len(samples)))
    with writing(store, "expert_responses", week, {"generated_instructions": made_up_id(week, 0)}) as draft:
        write_prompts(draft.folder, _RUN)
        write_table(draft.folder, "samples", (_sample(week, sample) for sample in samples))
        refused = sum(sample.refused for sample in samples)
        facts = ResponseFacts(
            samples=len(samples), kept=len(samples) - refused, refused={"refusal": refused} if refused else {}
        )
        draft.finish(made_up_id(week, 1), facts)


def writing(
    store: ArtefactStore, asset_key: str, week: str | None, inputs: dict[str, str]
) -> AbstractContextManager[Draft]:
    """Write an output, in partition `week`, as its asset would; it becomes the current one."""
    about = {"inputs": inputs, "config": {}, "code_version": "1", "run_id": _RUN, "made_at": "2026-11-02T00:00:00"}
    return store.writing(asset_key, made_up_id("output", 0)[:16], week, about=about)


def _manifest(store: ArtefactStore, week: str, seeds: list[Seed]) -> GenerationManifest:
    return GenerationManifest(
        partition_key=week,
        policy_version=baseline_version(UNIFORM),
        seeds_version=store.current("seed_instructions").data_version,
        replicas=tuple(sorted((seed.seed_id, 0) for seed in seeds)),
        prompt_versions=tuple(sorted(prompt_versions().items())),
        models=(("expert", _MODEL), ("reviewer", _MODEL)),
        root_seed=0,
    )


def _generation_facts(transitions: int) -> GenerationFacts:
    each = OperationCounts(chosen=transitions // len(_OPERATIONS), accepted=transitions // len(_OPERATIONS))
    return GenerationFacts(
        transitions=transitions,
        accepted=transitions,
        questions=2 * transitions,
        operations=dict.fromkeys(_OPERATIONS, each),
        not_accepted={},
    )


def _transition(week: str, manifest: GenerationManifest, sample: _MadeUp) -> dict[str, Any]:
    number, operation = sample.number, _OPERATIONS[sample.number % len(_OPERATIONS)]
    return {
        "transition_id": made_up_id("transition", number),
        "episode_id": made_up_id("episode", number // SAMPLES_A_SEED),
        "seed_id": sample.seed.seed_id,
        "purpose": "generate",
        "step": sample.step,
        "operation": operation,
        "probability": 0.2,
        "policy": UNIFORM,
        "policy_version": manifest.policy_version,
        "parent_id": sample.before,
        "parent_transition_id": made_up_id("transition", number - 1) if sample.step else None,
        "instruction_id": sample.instruction.instruction_id,
        "reward": 1.0,
        "accepted": True,
        "queries": 2,
        "partition_key": week,
        "rewrite_request_id": made_up_id("rewrite", number),
        "review_request_id": made_up_id("review", number),
        "prompt_version": dict(manifest.prompt_versions)[operation],
        "review_prompt_version": dict(manifest.prompt_versions)["review"],
        "verdict": "not_equal",
        "sample_id": made_up_id("sample", number),
        "run_id": _RUN,
    }


def _sample(week: str, sample: _MadeUp) -> dict[str, Any]:
    number = sample.number
    return {
        "sample_id": made_up_id("sample", number),
        "transition_id": made_up_id("transition", number),
        "episode_id": made_up_id("episode", number // SAMPLES_A_SEED),
        "step": sample.step,
        "partition_key": week,
        "seed_id": sample.seed.seed_id,
        "instruction_id": sample.instruction.instruction_id,
        "instruction": sample.instruction.text,
        "input": sample.instruction.input,
        "accepted": not sample.refused,
        "response": sample.response,
        "respond_request_id": made_up_id("respond", number),
        "reason": "refusal" if sample.refused else None,
        "run_id": _RUN,
    }
