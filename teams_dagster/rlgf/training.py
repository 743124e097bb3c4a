"""A token-level training from its first batch to its report, which goes on from its last checkpoint bit for bit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.policy.algorithms.batch import RollIn, Who
from teams_dagster.policy.algorithms.report import UpdateReport
from teams_dagster.policy.collecting import next_ids
from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.collecting import Planner, Prompt, Written, rewarded, write_texts
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.guides import LocalWriter, Writer
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.report import Evaluation, IterationRecord, Metrics, TrainingReport, measured, perplexities
from teams_dagster.rlgf.sampling import Vocabulary
from teams_dagster.rlgf.sequences import Text, TextBatch, batch_of
from teams_dagster.rlgf.targets import targets
from teams_dagster.rlgf.task import Reward, Task, encoded
from teams_dagster.rlgf.update import scored
from teams_dagster.student.answering import end_tokens
from teams_dagster.student.chat import decoded, template_version
from teams_dagster.student.conversation import dialect_of
from teams_dagster.student.loading import RECIPE_FILE, Recipe, Student
from teams_dagster.student.threads import threads_for

CHECKPOINT, REPORT, MODEL = "checkpoint.pt", "report.json", "model"


@dataclass(frozen=True)
class _LearnerAlone:
    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return RollIn(Who.LEARNER, Who.LEARNER, switch=0)


class TokenTraining:
    """A training in a folder. `run` begins it, or goes on with it."""

    def __init__(
        self,
        student: Student,
        task: Task,
        config: RLGFConfig,
        folder: Path,
        *,
        base: str,
        guide: Writer | None = None,
        guide_name: str | None = None,
        reward: Reward | None = None,
        reward_name: str | None = None,
        batch_reward: Reward | None = None,
        queries: Callable[[], int] | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`student`'s model becomes part of the training.

        Args:
            base: What names the student's weights: a checkpoint of another base is not gone on from.
            guide: None is the model before any training, decoded as `guide_decoding` says.
            guide_name: What names the guide that is given: a checkpoint that another one led to is not gone on from.
            reward: None is the task's own.
            reward_name: The same of the reward that is given, and of `batch_reward`.
            batch_reward: What the texts of a batch earn, its prompts' texts beside each other; evaluations are by
                `reward`. None: `reward` rewards both.
            queries: How many queries guide and reward have taken so far; None where they ask nobody.

        Raises:
            ValueError: A guide or reward has no name, a batch's reward has none beside it, all weights of a base in
                4 bits are to be trained, or queries are bounded that nobody counts.
        """
        if student.four_bit and config.weights.kind == "full":
            raise ValueError(
                "weights.kind is full, and the base is in 4 bits, which cannot be moved: say lora, or load the base"
                " with four_bit=False"
            )
        if batch_reward is not None and reward is None:
            raise ValueError("batch_reward is given without reward, which measures: give both, or reward alone")
        if config.most_queries is not None and queries is None:
            raise ValueError(
                f"most_queries is {config.most_queries}, and guide and reward ask nobody: bound the training by"
                " most_tokens or iterations, or give `queries`, which counts"
            )
        for what, given, name in (("guide", guide, guide_name), ("reward", reward, reward_name)):
            if (given is None) != (name is None):
                here, missing = (what, f"{what}_name") if name is None else (f"{what}_name", what)
                raise ValueError(f"{here} is given without {missing}: give both, or none for the default {what}")
        self.student, self.task, self.config, self.folder = student, task, config, folder
        self.version = content_hash("rlgf training", config.version, task.version, base, guide_name, reward_name)
        self.learner = TokenLearner(student.model, config)
        self._algorithm, self._reward, self._progress = token_algorithm(config), reward, progress
        self._batch_reward = batch_reward or reward
        self._queries = queries or (lambda: 0)
        self._vocabulary = vocabulary_of(student)
        models, at_once = self.learner.models, config.at_once
        own = LocalWriter(lambda: models.using(POLICY), self._vocabulary, config.decoding, at_once)
        self._writers: Mapping[Who, Writer] = {
            Who.LEARNER: own,
            Who.GUIDE: guide or LocalWriter(models.reference, self._vocabulary, config.guide_decoding, at_once),
        }
        prompts = encoded(student.tokenizer, [*task.prompts, *task.evaluation], task.asks)
        self._prompts = {prompt.prompt_id: prompt for prompt in prompts}
        self._targets = self._references() if config.step.target_weight else None
        self._records: list[IterationRecord] = []
        self._evaluations: list[Evaluation] = []

    @property
    def tokens(self) -> int:
        """Tokens that learner and guide have written for the training."""
        return sum(record.learner_tokens + record.guide_tokens for record in self._records)

    @property
    def queries(self) -> int:
        """Queries that guide and reward have taken for batches."""
        return sum(record.queries for record in self._records)

    @property
    def finished(self) -> bool:
        """Whether all iterations are done, all tokens written, or all queries taken."""
        bounds = ((self.config.most_tokens, self.tokens), (self.config.most_queries, self.queries))
        spent = any(most is not None and taken >= most for most, taken in bounds)
        return spent or len(self._records) >= self.config.iterations

    def run(self, until: int | None = None) -> TrainingReport:
        """Train until `until` iterations are done (None: all of them), and report.

        Raises ValueError where the folder holds a checkpoint of another training.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()
        last = self.config.iterations if until is None else min(until, self.config.iterations)
        with threads_for(self.student.model):
            if not self._evaluations:
                self._evaluate()
            while len(self._records) < last and not self.finished:
                self._iterate()
                done = len(self._records)
                if self.finished or (self.config.evaluate_every and done % self.config.evaluate_every == 0):
                    self._evaluate()
                if self.finished or done == last or done % self.config.checkpoint_every == 0:
                    self._save()
        if self.finished and not (self.folder / MODEL / RECIPE_FILE).exists():
            self._save_model()
        return self._report()

    def _iterate(self) -> None:
        iteration = len(self._records)
        ids = next_ids(sorted(self.task.prompts), self.config.prompts_a_batch, self.config.root_seed, iteration)
        names = [name for name in ids for _ in range(self.config.group)]
        before = self._queries()
        texts = self._write(self._algorithm, names, iteration, "train", self._batch_reward)
        taken = self._queries() - before
        self.learner.begin(iteration)
        references = None if self._targets is None else self._batch([self._targets[name] for name in names])
        known = scored(self.learner, self._batch(texts.texts), references)
        update = self._algorithm.update(self.learner, known, iteration)
        mean = sum(text.reward for text in texts.texts) / len(texts.texts)
        record = IterationRecord(iteration, mean, texts.learner_tokens, texts.guide_tokens, known.kl, update, taken)
        self._records.append(record)
        self._progress(f"iteration {iteration + 1}/{self.config.iterations}: reward {mean:.3f}, {update.phase}")

    def _references(self) -> dict[str, Text]:
        known = [self._prompts[name] for name in self.task.prompts]
        end = min(self._vocabulary.ends)
        return targets(self.student.tokenizer, self.task, known, end, self.config.max_new_tokens)

    def _batch(self, texts: Sequence[Text]) -> TextBatch:
        return batch_of(texts, self._vocabulary.padding)

    def _write(
        self, planner: Planner, names: Sequence[str], iteration: int, purpose: str, reward: Reward | None
    ) -> Written:
        prompts: list[Prompt] = [self._prompts[name] for name in names]
        texts = write_texts(
            planner,
            self._writers,
            prompts,
            iteration=iteration,
            limit=self.config.max_new_tokens,
            ends=self._vocabulary.ends,
            key=(self.config.root_seed, purpose),
        )
        return rewarded(texts, self._earned(texts.texts, reward))

    def _earned(self, texts: Sequence[Text], reward: Reward | None) -> Sequence[float]:
        """By `reward`, or the task's own."""
        names, said = [text.prompt_id for text in texts], self._said(texts)
        if reward is not None:
            return reward(names, said)
        return self.task.rewards(names, said, self._perplexities(texts) if self.task.reads_perplexity else None)

    def _said(self, texts: Sequence[Text]) -> list[str]:
        return [decoded(self.student.tokenizer, text.tokens, skip_special_tokens=True) for text in texts]

    def _perplexities(self, texts: Sequence[Text]) -> list[float]:
        return perplexities(self.learner, texts, self._vocabulary.padding)

    def _evaluate(self) -> None:
        """Draws of their own, the same at every evaluation."""
        names = [name for name in self.task.evaluation for _ in range(self.config.evaluation_texts)]
        texts = self._write(_LearnerAlone(), names, 0, "evaluate", self._reward)
        metrics = measured(self.learner, texts.texts, self._vocabulary.padding, self._task_metrics(texts.texts))
        self._evaluations.append(Evaluation(len(self._records), self.tokens, metrics))
        self._progress(f"after {len(self._records)} updates: reward {metrics.reward:.3f}, kl {metrics.kl:.3f}")

    def _task_metrics(self, texts: Sequence[Text]) -> dict[str, float]:
        """Means of the task's metrics."""
        if not self.task.metrics:
            return {}
        names, said, known = [text.prompt_id for text in texts], self._said(texts), self._perplexities(texts)
        return {name: fmean(self.task.scores(name, names, said, known)) for name in self.task.metrics}

    def _report(self) -> TrainingReport:
        report = TrainingReport(self.version, tuple(self._records), tuple(self._evaluations))
        said = {**asdict(report), "config": self.config.model_dump(mode="json"), "task": self.task.name}
        write_atomically(self.folder / REPORT, json.dumps(said, indent=1, allow_nan=False) + "\n")
        return report

    def _save(self) -> None:
        state: dict[str, Any] = {
            "version": self.version,
            "records": json.dumps([asdict(record) for record in self._records], allow_nan=False),
            "evaluations": json.dumps([asdict(evaluation) for evaluation in self._evaluations], allow_nan=False),
            "learner": self.learner.state(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.folder / CHECKPOINT, buffer.getvalue())

    def _save_model(self) -> None:
        """The policy as `load_adapter` reads it, complete once its recipe is there."""
        folder, student = self.folder / MODEL, self.student
        kind = "qlora" if student.four_bit else self.config.weights.kind
        self.learner.models.save(folder)
        if kind == "full":
            student.tokenizer.save_pretrained(str(folder))  # pyright: ignore[reportUnknownMemberType]
        Recipe(
            kind=kind,
            template=student.template,
            template_version=template_version(student.tokenizer),
            max_length=student.context,
            clock=dialect_of(student.tokenizer).clock,
        ).save(folder)

    def _restore(self) -> None:
        file = self.folder / CHECKPOINT
        if self._records or not file.exists():
            return
        state = torch.load(file, weights_only=True, map_location=self.student.model.device)
        if state["version"] != self.version:
            raise ValueError(
                f"{self.folder} holds a checkpoint of another training ({state['version'][:8]}, this one is"
                f" {self.version[:8]}): give another folder, or the configuration, task, base, guide and reward that it"
                " was begun with"
            )
        self.learner.restore(state["learner"])
        records: list[dict[str, Any]] = json.loads(state["records"])
        self._records = [
            IterationRecord(**dict[str, Any](kept, update=UpdateReport(**kept["update"]))) for kept in records
        ]
        evaluations: list[dict[str, Any]] = json.loads(state["evaluations"])
        self._evaluations = [
            Evaluation(**dict[str, Any](kept, metrics=Metrics(**kept["metrics"]))) for kept in evaluations
        ]


def vocabulary_of(student: Student) -> Vocabulary:
    """The tokens that mean something to a sampler of `student`'s texts."""
    ends, padding = end_tokens(student), student.tokenizer.pad_token_id
    # what fills up a batch, whatever it is: it is never attended to
    return Vocabulary(frozenset(ends), int(padding if isinstance(padding, int) else min(ends)))
