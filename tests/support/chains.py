"""Tables of one generation with chains of any shape, and the origin of its samples worked out step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teams_dagster.dataset.provenance import Generation
from teams_dagster.store.tables import write_table

EXPERT, REVIEWER, RESPOND = "openai/gpt-x https://llm.example", "offline/rules 1", "respond-1"


@dataclass(frozen=True)
class Chain:
    """An episode: the operations tried, each with the one it continues (an index before it, None for the seed)."""

    seed: int
    steps: tuple[tuple[str, int | None, bool], ...]
    """(operation, what it continues, accepted)."""


def write_generation(folder: Path, chains: Sequence[Chain], week: str = "2026-01-05") -> Generation:
    """The tables that stages would leave for these episodes."""
    seeds = sorted({chain.seed for chain in chains})
    transitions = [_transition(week, at, chain, step) for at, chain in enumerate(chains) for step in _steps(chain)]
    samples = [_sample(week, at, chain, step) for at, chain in enumerate(chains) for step in _accepted(chain)]
    return Generation(
        seeds=write_table(folder, "seeds", [_seed(seed) for seed in seeds]),
        transitions=write_table(folder, "transitions", transitions),
        samples=(written := write_table(folder, "samples", samples)),
        answers=written,
        expert=EXPERT,
        reviewer=REVIEWER,
        respond_prompt_version=RESPOND,
    )


def write_answers(folder: Path, chains: Sequence[Chain], answers: int, week: str = "2026-01-05") -> Path:
    """Table `sample_answers`: so many answers to each sample of the episodes, the first of them the sample's own."""
    own = [_sample(week, at, chain, step) for at, chain in enumerate(chains) for step in _accepted(chain)]
    columns = ("sample_id", "partition_key", "accepted", "response", "run_id")
    rows = [
        {
            **{column: sample[column] for column in columns},
            "answer": number,
            "respond_request_id": sample["respond_request_id"] + (f"-{number}" if number else ""),
        }
        for sample in own
        for number in range(answers)
    ]
    return write_table(folder, "sample_answers", rows)


def write_members(folder: Path, samples: Mapping[str, str], version: str = "v1") -> Path:
    """Table `dataset_samples`: sample to split."""
    return write_table(
        folder,
        "dataset_samples",
        ({"dataset_version": version, "sample_id": name, "split": split} for name, split in samples.items()),
    )


def sample_ids(chains: Sequence[Chain], week: str = "2026-01-05") -> list[str]:
    """Every sample of the episodes."""
    return [f"sample-{week}-{at}-{step}" for at, chain in enumerate(chains) for step in _accepted(chain)]


def origin(chains: Sequence[Chain], sample_id: str) -> dict[str, Any]:
    """What of a sample's origin is in its chain, by walking up from it."""
    at, step = (int(number) for number in sample_id.rsplit("-", 2)[1:])
    walked: list[int] = []
    place: int | None = step
    while place is not None:
        walked.insert(0, place)
        place = chains[at].steps[place][1]
    return {
        "seed_id": f"seed-{chains[at].seed}",
        "operations": [chains[at].steps[place][0] for place in walked],
        "rewrite_request_ids": [f"rewrite-{at}-{place}" for place in walked],
        "review_request_ids": [f"review-{at}-{place}" for place in walked],
    }


def _steps(chain: Chain) -> range:
    return range(len(chain.steps))


def _accepted(chain: Chain) -> list[int]:
    return [step for step in _steps(chain) if chain.steps[step][2]]


def _seed(seed: int) -> dict[str, Any]:
    return {
        "seed_id": f"seed-{seed}",
        "instruction_id": "i",
        "text": "Do.",
        "input": "",
        "response": "",
        "row": seed + 1,
        "source": "seeds.csv",
        "source_sha256": "ff",
    }


def _transition(week: str, at: int, chain: Chain, step: int) -> dict[str, Any]:
    operation, continued, accepted = chain.steps[step]
    return {
        "transition_id": f"transition-{week}-{at}-{step}",
        "parent_transition_id": None if continued is None else f"transition-{week}-{at}-{continued}",
        "episode_id": f"episode-{at}",
        "seed_id": f"seed-{chain.seed}",
        "purpose": "generate",
        "step": step,
        "operation": operation,
        "probability": 0.5,
        "policy": "trained",
        "policy_version": "policy-1",
        "parent_id": "i",
        "instruction_id": "i",
        "sample_id": f"sample-{week}-{at}-{step}" if accepted else None,
        "reward": 1.0,
        "accepted": accepted,
        "queries": 2,
        "rewrite_request_id": f"rewrite-{at}-{step}",
        "review_request_id": f"review-{at}-{step}",
        "prompt_version": f"prompt-{operation}",
        "review_prompt_version": "prompt-review",
    }


def _sample(week: str, at: int, chain: Chain, step: int) -> dict[str, Any]:
    return {
        "sample_id": f"sample-{week}-{at}-{step}",
        "transition_id": f"transition-{week}-{at}-{step}",
        "episode_id": f"episode-{at}",
        "step": step,
        "partition_key": week,
        "seed_id": f"seed-{chain.seed}",
        "instruction_id": "i",
        "instruction": "Do.",
        "input": "",
        "accepted": True,
        "response": "Done.",
        "respond_request_id": f"respond-{at}-{step}",
        "run_id": "run-1",
    }
