"""The data card: what the dataset is, how it was made, what it cost and what it cannot tell (Gebru et al. 2021).

Markdown with the YAML header that the Hugging Face Hub reads. The same facts give the same bytes: no clock is read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from teams_dagster.core.markdown import card_table, code, front_matter, inline
from teams_dagster.core.text import exact_dollars
from teams_dagster.dataset.formats import Format, Thoughts
from teams_dagster.dataset.preferences import PREFERENCE, preference_file
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.dataset.steering import untrained_name
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.policy.baselines import ROUND_ROBIN, UNIFORM

CARD = "card.json"
"""The facts of a dataset, stored beside its files: an export of some of them is described by the same."""


@dataclass(frozen=True)
class DataCard:
    """The facts that a card tells."""

    name: str
    dataset_version: str
    licence: str
    """An identifier that the Hub knows (`apache-2.0`, `other`)."""
    licence_note: str
    """What binds the answers: the terms of the models that wrote them."""
    languages: tuple[str, ...]
    """ISO 639-1 codes; none where it is not known."""
    seed_files: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each file that seeds came from."""
    seeds_used: int
    seeds_refused: Mapping[str, int]
    """Rows refused, by reason."""
    generations: tuple[str, ...]
    """Partition keys."""
    examples: Mapping[Split, int]
    dropped: Mapping[str, int]
    """Samples left out, by reason."""
    models: Mapping[str, tuple[str, ...]]
    """Role to the models that served it."""
    policy_versions: tuple[str, ...]
    queries: int
    cost_nano_usd: int | None
    """None where the price of a model is not known."""
    evaluation_sets: tuple[str, ...]
    """What the dataset was checked against for contamination."""
    biases: tuple[str, ...]
    limits: tuple[str, ...]
    pairs: Mapping[Split, int] = field(default_factory=dict[Split, int])
    """Examples on each side that people wrote, answers included."""
    pair_files: tuple[tuple[str, str], ...] = ()
    """Name and SHA-256 of each file that such pairs came from."""
    pairs_refused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rows of those files that are not used, by reason."""
    reasoned: Mapping[Split, int] = field(default_factory=dict[Split, int])
    """Examples on each side with what was thought before their answer; empty where none has it."""
    thoughts: Thoughts = Thoughts.FIELD
    """Where it stands."""
    forced_schedule: bool = False
    """Whether the paper's schedule was forced on the policy of a generation."""

    scoring: str = ""
    """Who scored the pairs, and what was dropped for its score, in a sentence; empty where no score was used."""

    @property
    def total(self) -> int:
        """How many examples there are."""
        return sum(self.examples.values())

    @property
    def pairs_used(self) -> int:
        """How many of them people wrote."""
        return sum(self.pairs.values())

    @property
    def summary(self) -> str:
        """What the dataset is, in a few sentences."""
        written = self.pairs_used
        made = self.total - written
        said: list[str] = []
        if made:
            said.append(
                f"{made:,} instructions with answers, made by TeaMs-RL (teams-dagster) from {self.seeds_used:,} seeds"
                f" that people wrote: {self.chooser} how each instruction was rewritten, a language model rewrote"
                " and answered it. The texts are synthetic."
            )
        if written:
            files = ", ".join(name for name, _ in self.pair_files)
            said.append(f"{written:,} pairs of an instruction and its answer that people wrote, from {files}.")
        return " ".join(said)

    @property
    def chooser(self) -> str:
        """Who chose the operations."""
        found = {untrained_name(version) for version in self.policy_versions}
        said = {UNIFORM: "a uniform draw decided", ROUND_ROBIN: "the operations took turns, which decided"}
        chosen = ", or ".join(said.get(name or "", "a learned policy chose") for name in sorted(found, key=str))
        return f"{chosen}, under the schedule of the paper's code," if self.forced_schedule else chosen

    @property
    def policies(self) -> str:
        """The policies' versions, those that need no training with their names."""
        named = ((version, untrained_name(version)) for version in self.policy_versions)
        return ", ".join(f"`{version}` ({name})" if name else f"`{version}`" for version, name in named) or "none"

    @property
    def contamination(self) -> str:
        """What the dataset was checked against."""
        if not self.evaluation_sets:
            return "It was not checked against any evaluation set."
        return f"No row shares 13 words in a row with: {', '.join(self.evaluation_sets)}."

    def of_splits(self, splits: Collection[str]) -> DataCard:
        """The card of an export that holds only these splits."""
        return replace(
            self,
            examples={split: rows for split, rows in self.examples.items() if split in splits},
            pairs={split: rows for split, rows in self.pairs.items() if split in splits},
            reasoned={split: rows for split, rows in self.reasoned.items() if split in splits},
        )

    def with_thoughts(self, thoughts: Thoughts) -> DataCard:
        """The card of an export whose thoughts are written so."""
        return replace(self, thoughts=thoughts, reasoned={} if thoughts is Thoughts.NONE else self.reasoned)

    @property
    def thoughts_said(self) -> str:
        """Which examples have thoughts, and where these stand; empty where none has."""
        if not (count := sum(self.reasoned.values())):
            return ""
        where = {
            Thoughts.FIELD: "`reasoning_content` (in Parquet column `reasoning`), and no part of the answer",
            Thoughts.THINK: "a `<think>` block before the answer (in Parquet column `reasoning`)",
        }
        return f"What the expert thought before it answered is kept of {count:,} examples, as {where[self.thoughts]}."

    def to_json(self) -> str:
        """Readable JSON, the same bytes for the same facts."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataCard:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        for name in ("languages", "generations", "policy_versions", "evaluation_sets", "biases", "limits"):
            values[name] = tuple(values[name])
        values["seed_files"] = tuple((source, digest) for source, digest in values["seed_files"])
        values["pair_files"] = tuple((source, digest) for source, digest in values.get("pair_files", ()))
        values["thoughts"] = Thoughts(values.get("thoughts", Thoughts.FIELD))
        values["models"] = {role: tuple(models) for role, models in values["models"].items()}
        return cls(**values)


def render_card(card: DataCard, files: Collection[str]) -> str:
    """The text of the `README.md` beside `files`, which its header tells loaders to read."""
    sections = [
        front_matter(_header(card, files)),
        f"# {inline(card.name)}",
        card.summary,
        f"Dataset version `{card.dataset_version}`, policy version {card.policies}.",
        "## Examples",
        _counts(("split", "examples"), card.examples.items()),
        "The split follows the seed: near-duplicate seeds, and all that was made from one seed in any generation, are "
        "on one side.",
        card.thoughts_said,
        "## Files",
        "\n".join(f"- `{name}`" for name in sorted(files)),
        "## Where it comes from",
        f"Seeds: {_files(card.seed_files)}. Generations: {inline(', '.join(card.generations)) or 'none'}.",
        f"Pairs that people wrote: {_files(card.pair_files)}." if card.pair_files else "",
        _counts(("people's pairs", "examples"), card.pairs.items()) if card.pairs else "",
        card_table(("role", "model"), ((role, "; ".join(models)) for role, models in sorted(card.models.items()))),
        "## What was left out",
        _counts(("seed rows refused", "rows"), sorted(card.seeds_refused.items())),
        _counts(("rows of pairs refused", "rows"), sorted(card.pairs_refused.items())) if card.pair_files else "",
        _counts(("samples dropped", "samples"), sorted(card.dropped.items())),
        inline(card.contamination),
        inline(card.scoring),
        "## What it cost",
        f"{card.queries:,} queries, {cost_in_words(card.cost_nano_usd)}.",
        "## Licence",
        inline(card.licence_note),
        "## Limits",
        "\n".join(f"- {inline(limit)}" for limit in (*card.biases, *card.limits)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _files(files: Iterable[tuple[str, str]]) -> str:
    """Names and hashes of files."""
    return ", ".join(f"{code(source)}, SHA-256 `{digest}`" for source, digest in files) or "none"


def _header(card: DataCard, files: Collection[str]) -> dict[str, object]:
    return {
        "pretty_name": card.name,
        "license": card.licence,
        "language": list(card.languages),
        "task_categories": ["text-generation"],
        "size_categories": [_size_category(card.total)],
        "tags": ["instruction-tuning", *(["synthetic"] if card.generations else []), "teams-rl"],
        "configs": list(_configs(card, files)),
    }


def _configs(card: DataCard, files: Collection[str]) -> Iterator[Mapping[str, object]]:
    """What loaders read: the rows in the first format that there is of all of them, the lineage beside Parquet,
    and the preferences."""
    for form in (Format.PARQUET, Format.ALPACA, Format.CHAT, Format.SHAREGPT):
        data_files = [{"split": split, "path": form.file_name(split)} for split in card.examples]
        if data_files and all(file["path"] in files for file in data_files):
            yield {"config_name": "default", "data_files": data_files}
            if form is Format.PARQUET and LINEAGE in files:
                yield {"config_name": "lineage", "data_files": LINEAGE}
            break
    paths = [(split, preference_file(split)) for split in card.examples]
    if preferences := [{"split": split, "path": path} for split, path in paths if path in files]:
        yield {"config_name": PREFERENCE, "data_files": preferences}


def _size_category(total: int) -> str:
    """The Hub's name for a number of rows."""
    bounds = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
    return next((name for bound, name in bounds if total < bound), "n>10M")


def _counts(header: tuple[str, str], rows: Iterable[tuple[str, int]]) -> str:
    return card_table(header, ((name, f"{count:,}") for name, count in rows))


def cost_in_words(nano_usd: int | None) -> str:
    """A cost in words; None where it is not known."""
    if nano_usd is None:
        return "at a cost that is not known, because a model has no price in the table"
    return exact_dollars(nano_usd)
