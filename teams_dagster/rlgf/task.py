"""A task: what a language model is to write after, what earns a reward, and how it is measured. A YAML file each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import yaml
from pydantic import Field, ValidationError, model_validator

from teams_dagster.core.file_faults import value_faults, yaml_fault, yaml_line
from teams_dagster.core.files import read_text
from teams_dagster.core.hashing import content_hash
from teams_dagster.policy.algorithms.base import FrozenConfig
from teams_dagster.rlgf.measures import MEASURES, Judged, MeasureName, Reads
from teams_dagster.rlgf.overlap import Cider
from teams_dagster.rlgf.sentiment import ClassifierConfig, check_vader, label_probabilities

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from teams_dagster.rlgf.collecting import Prompt

Reward = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Prompts and the texts after them to what each text earns. Any function that is always the same, a model or not."""


class Task(FrozenConfig):
    """What a task file says."""

    name: str = Field(min_length=1, description="What it is called.")
    asks: Literal["continuation", "chat"] = Field(
        default="continuation",
        description="`continuation`: the model goes on with the prompt; `chat`: it answers it, in its chat template.",
    )
    reward: MeasureName = Field(description="What earns a reward.")
    metrics: tuple[MeasureName, ...] = Field(default=(), description="What else is measured of the texts.")
    prompts: tuple[str, ...] = Field(min_length=1, description="What texts are trained after.")
    evaluation: tuple[str, ...] = Field(min_length=1, description="What texts are measured after; none of `prompts`.")
    concepts: dict[str, tuple[str, ...]] = Field(
        default={}, description="By prompt: words that a text should have. In a file, `concepts` beside `prompt`."
    )
    references: dict[str, str] = Field(
        default={}, description="By prompt: a text that would be right. In a file, `reference` beside `prompt`."
    )

    classifier: ClassifierConfig | None = Field(
        default=None, description="Of reward or metric `classifier`: the model, and the label it should give."
    )

    @model_validator(mode="before")
    @classmethod
    def _prompts_with_what_belongs_to_them(cls, said: Any) -> Any:
        """A prompt may be written as a mapping, with its concepts and its reference beside it."""
        if not isinstance(said, Mapping):
            return said
        content = dict(cast(Mapping[str, Any], said))
        for side in ("prompts", "evaluation"):
            listed: Any = content.get(side)
            if isinstance(listed, list | tuple):
                entries = cast(Sequence[Any], listed)
                content[side] = tuple(_prompt_of(entry, content) for entry in entries)
        return content

    @model_validator(mode="after")
    def _what_is_read_is_there(self) -> Task:
        if "vader" in self.measures:
            check_vader()
        for name in self.measures:
            for read in MEASURES[name].reads - {"perplexity"}:
                if read == "classifier":
                    if self.classifier is None:
                        raise ValueError(
                            "classifier reads a model: say which by `classifier: {model: ..., label: ...}`"
                        )
                    continue
                known: Mapping[str, Any] = getattr(self, read)
                if missing := [prompt for prompt in (*self.prompts, *self.evaluation) if not known.get(prompt)]:
                    raise ValueError(
                        f"{name} reads the {read} of each prompt, and {missing[0]!r} has none: write it as"
                        f" {{prompt: ..., {_KEYS[read]}: ...}}"
                    )
        return self

    @model_validator(mode="after")
    def _sides_are_apart(self) -> Task:
        if both := sorted({*self.prompts} & {*self.evaluation}):
            raise ValueError(f"{both[0]!r} is among `prompts` and `evaluation`: leave it in one of them")
        return self

    @property
    def version(self) -> str:
        """A hash of all that it says."""
        unsaid = {"classifier"} if self.classifier is None else set[str]()
        return content_hash("rlgf task", self.model_dump_json(exclude=unsaid))

    @cached_property
    def cider(self) -> Cider:
        """Knows all its references."""
        return Cider(tuple(self.references.values()))

    @property
    def measures(self) -> tuple[MeasureName, ...]:
        """What it measures of each text by itself: its reward, and its metrics."""
        return (self.reward, *self.metrics)

    @property
    def reads_perplexity(self) -> bool:
        """Whether its reward needs to know what the model before training makes of a text."""
        return "perplexity" in MEASURES[self.reward].reads

    def rewards(
        self, prompts: Sequence[str], texts: Sequence[str], perplexities: Sequence[float] | None = None
    ) -> list[float]:
        """What each of `texts` earns after its prompt."""
        return self.scores(self.reward, prompts, texts, perplexities)

    def scores(
        self,
        measure: MeasureName,
        prompts: Sequence[str],
        texts: Sequence[str],
        perplexities: Sequence[float] | None = None,
    ) -> list[float]:
        """`measure` of each of `texts` after its prompt; `perplexities` are theirs under the model before training.

        Raises ValueError where it reads perplexities and none are given.
        """
        if perplexities is None and "perplexity" in MEASURES[measure].reads:
            raise ValueError(f"{measure} reads the perplexity of each text: give `perplexities`")
        unknown = [math.nan] * len(texts)
        likely = self._likelihoods(prompts, texts) if "classifier" in MEASURES[measure].reads else unknown
        judged = (
            Judged(
                text,
                concepts=self.concepts.get(prompt, ()),
                reference=self.references.get(prompt, ""),
                perplexity=perplexity,
                cider=self.cider,
                likelihood=likelihood,
            )
            for prompt, text, perplexity, likelihood in zip(
                prompts, texts, perplexities or unknown, likely, strict=True
            )
        )
        return [MEASURES[measure].of(one) for one in judged]

    def _likelihoods(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """Of the classifier's label: it reads an answer alone, and a continuation after its prompt."""
        assert self.classifier is not None, "it was validated"
        whole = texts if self.asks == "chat" else [prompt + text for prompt, text in zip(prompts, texts, strict=True)]
        return label_probabilities(self.classifier, whole)


_KEYS: dict[Reads, str] = {"concepts": "concepts", "references": "reference"}
"""What a task file has beside a prompt, by the field of `Task` that keeps it."""


def _prompt_of(entry: Any, content: dict[str, Any]) -> Any:
    """The prompt of an entry of a task file; what is beside it is put where `content` keeps it."""
    if not isinstance(entry, Mapping):
        return entry
    beside = dict(cast(Mapping[str, Any], entry))
    prompt = beside.pop("prompt", None)
    if not isinstance(prompt, str):
        raise ValueError(f"an entry without its `prompt`: {beside}")
    for field, key in _KEYS.items():
        if key in beside:
            content[field] = {**content.get(field, {}), prompt: beside.pop(key)}
    if beside:
        raise ValueError(f"{sorted(beside)[0]!r} beside the prompt {prompt!r}: only {', '.join(_KEYS.values())} may be")
    return prompt


HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
"""A data set of the hub, at its newest revision or another."""
TASK_FILE = "task.yaml"
"""What it is called there."""


def load_task(path: str | Path) -> Task:
    """The task in the file at `path`, the one of this package that is named so, or that of a data set of the hub.

    The last is `owner/name` or `owner/name@revision`, and has the task as `task.yaml`.
    Raises ValueError where the file is missing or not a task, saying which field.
    """
    file = files("teams_dagster.rlgf") / "tasks" / f"{path}.yaml"
    where = file if file.is_file() else Path(path)
    if not where.is_file():
        known = HUB_ID.fullmatch(str(path))
        if known is None or Path(path).suffix in (".yaml", ".yml"):
            raise ValueError(
                f"there is no task {path}: give the path of a task file, `owner/name` of a data set of the hub with a"
                f" {TASK_FILE}, or one of {', '.join(known_tasks())}"
            )
        where = _from_hub(known["repository"], known["revision"])
    try:
        text = read_text(Path(str(where)))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a task: it cannot be read as text ({error})") from error
    try:
        content: Any = yaml.safe_load(text)
        return Task.model_validate({} if content is None else content)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not a task: {yaml_fault(error)}") from error
    except ValidationError as error:
        raise ValueError(f"{path} is not a task: {value_faults(error, lambda at: yaml_line(text, at))}") from error


def _from_hub(repository: str, revision: str | None) -> Path:
    """The task file of a data set of the hub, from its cache where that has it. Raises ValueError without one."""
    from huggingface_hub import hf_hub_download  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(hf_hub_download(repository, TASK_FILE, repo_type="dataset", revision=revision))
    except (OSError, HFValidationError) as error:
        raise ValueError(
            f"there is no file {repository}, and no {TASK_FILE} came from the hub's data set of that name: {error}"
        ) from error


def known_tasks() -> list[str]:
    """The tasks of this package."""
    folder = files("teams_dagster.rlgf") / "tasks"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], asks: str) -> list[Prompt]:
    """Prompts as tokens; each is known by its text."""
    from teams_dagster.rlgf.collecting import Prompt

    return [Prompt(text, tuple(_tokens(tokenizer, text, asks))) for text in texts]


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str, asks: str) -> list[int]:
    from teams_dagster.student.chat import tokens_of
    from teams_dagster.student.conversation import prompt_text

    if asks == "continuation":
        found: Any = tokenizer(text)["input_ids"]
    else:
        found = tokens_of(tokenizer, prompt_text(tokenizer, text))
    if not found:
        raise ValueError(f"the prompt {text!r} has no token: give it a word")
    return list(found)
