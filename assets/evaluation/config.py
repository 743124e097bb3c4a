"""Run configuration of the evaluation."""

from pathlib import Path

from pydantic import Field

from assets.materialize import AssetConfig
from teams_dagster.evaluation.harness.benchmarks import BenchmarkPlan


class EvaluationConfig(AssetConfig):
    """How models are scored."""

    seed: int = Field(default=0, description="Root of the random streams that draw questions and samples.")


class PrivacyConfig(EvaluationConfig):
    """How models are attacked, and whether an adapter is trained on made-up secrets to see what it gives away."""

    canaries: int = Field(
        default=0,
        ge=0,
        description="Made-up secrets shown to an adapter that is trained for this audit alone and thrown away; they"
        " enter no dataset and no model that is kept. 0: none.",
    )
    canary_times: int = Field(default=4, ge=1, description="How often that adapter's training meets each secret.")


class BenchmarkSettings(AssetConfig):
    """Which benchmarks models are scored on beside the dataset's held-out side."""

    benchmarks: list[str] = Field(
        default=[],
        description="What lm-evaluation-harness asks each model: arc, hellaswag, mmlu, truthfulqa, gsm8k (with the"
        " shots of the Open LLM Leaderboard), held_out_choice, held_out_answer, or any of its own tasks by name.",
    )
    benchmark_files: dict[str, str] = Field(
        default={},
        description="By benchmark, the absolute path of its questions in JSON lines, where not the hub's are asked.",
    )
    benchmark_shot_files: dict[str, str] = Field(
        default={},
        description="By benchmark, the absolute path of the examples shown before each question; without, they are"
        " other questions of its file.",
    )
    benchmark_limit: int = Field(default=0, ge=0, description="Questions of each benchmark task at most; 0 for all.")
    benchmark_batch_size: int = Field(default=0, ge=0, description="Questions at once; 0: found automatically.")

    def plan(self) -> BenchmarkPlan:
        """What the harness is to run. Raises BenchmarkError."""
        return BenchmarkPlan(
            names=tuple(self.benchmarks),
            files={name: Path(path) for name, path in self.benchmark_files.items()},
            shot_files={name: Path(path) for name, path in self.benchmark_shot_files.items()},
            limit=self.benchmark_limit or None,
            batch_size=self.benchmark_batch_size or None,
        )


class ScoresConfig(EvaluationConfig, BenchmarkSettings):
    """How models are scored, and on which benchmarks beside the dataset's held-out side."""


class JudgeConfig(EvaluationConfig):
    """Which held-out instructions the models answer, and how long an answer may be."""

    questions: int = Field(
        default=40,
        ge=1,
        le=10_000,
        description="Held-out instructions that the base and each adapter answer, one of each seed before a second one"
        " of a seed. The judge is asked twice about each, for each adapter.",
    )
    max_new_tokens: int = Field(default=256, ge=1, description="Tokens of an answer, at most.")
