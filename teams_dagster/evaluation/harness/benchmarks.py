"""Which tasks of the harness are run, with how many examples before each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash


@dataclass(frozen=True)
class Benchmark:
    """A task or group of the harness by its own name."""

    task: str
    shots: int | None
    """Examples before each question; None for what the harness's own file says."""
    folder: str | None = None
    """Where the task lies below the harness's tasks; None: looked for among all of them, which takes seconds."""
    chat: bool = False
    """Asked through the student's chat template, as it was trained."""


LEADERBOARD = {
    "arc": Benchmark("arc_challenge", 25, "arc"),
    "hellaswag": Benchmark("hellaswag", 10, "hellaswag"),
    "mmlu": Benchmark("mmlu", 5, "mmlu/default"),
    "truthfulqa": Benchmark("truthfulqa_mc2", 0, "truthfulqa"),
    "gsm8k": Benchmark("gsm8k", 5, "gsm8k"),
}
"""The shots of the Open LLM Leaderboard (2023), under "Tasks" of
https://huggingface.co/docs/leaderboards/open_llm_leaderboard/archive. It ran the harness at commit b281b09 and read
arc and hellaswag as `acc_norm`, mmlu and truthfulqa as `acc`, gsm8k as its strict match. TruthfulQA's own prompt
brings six answered questions, which count as no shots."""

HELD_OUT = {
    "held_out_choice": Benchmark("teams_held_out_choice", 0, chat=True),
    "held_out_answer": Benchmark("teams_held_out_answer", 0, chat=True),
}
"""The dataset's held-out side as tasks in the harness's own format, shipped in `local/`."""

BENCHMARKS = LEADERBOARD | HELD_OUT


class BenchmarkError(ValueError):
    """Benchmarks that cannot be run as they were asked for."""


@dataclass(frozen=True)
class BenchmarkPlan:
    """What is run."""

    names: tuple[str, ...] = ()
    """Keys of BENCHMARKS, or any name of a task or group of the harness, with its own number of shots."""
    files: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """By name, questions in JSON lines of the shape that the task has on the hub, in place of the hub's."""
    shot_files: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """By name, the examples before each question, likewise; without, they are other questions of `files`."""
    limit: int | None = None
    """Questions of each task at most; None for all."""
    batch_size: int | None = None
    """None: found automatically."""

    def __post_init__(self) -> None:
        """Raises BenchmarkError for a name given twice, a file of what is not run, or one that does not exist."""
        if repeated := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise BenchmarkError(f"benchmarks named twice: {', '.join(repeated)}")
        for kind, files in (("file", self.files), ("file of shots", self.shot_files)):
            for name, path in files.items():
                if name not in self.names:
                    raise BenchmarkError(f"a {kind} is given for {name!r}, which is not among the benchmarks to run")
                if name in HELD_OUT:
                    raise BenchmarkError(f"{name} reads the dataset's held-out side: it takes no {kind}")
                if not path.is_file():
                    raise BenchmarkError(f"the {kind} of {name} does not exist: {path.absolute()}")
        if alone := sorted(set(self.shot_files) - set(self.files)):
            raise BenchmarkError(f"shots are given in a file for {', '.join(alone)}, the questions are not")

    def benchmark(self, name: str) -> Benchmark:
        """What `name` stands for."""
        return BENCHMARKS.get(name, Benchmark(name, None))

    @property
    def needs_held_out(self) -> bool:
        """Whether the dataset's held-out side is asked."""
        return any(name in HELD_OUT for name in self.names)

    @property
    def files_version(self) -> str:
        """Hash of the files' content."""
        given = {f"{kind} {name}": path for kind, files in self._kinds() for name, path in files.items()}
        return content_hash("benchmark files", {name: file_sha256(path) for name, path in given.items()})

    def _kinds(self) -> tuple[tuple[str, Mapping[str, Path]], ...]:
        return ("questions", self.files), ("shots", self.shot_files)
