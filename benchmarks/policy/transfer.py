"""Policies trained on one reviewer's verdicts or one rewriter's edits, scored with another's.

    python -m benchmarks.policy.transfer

The paper trains on a cheap model and deploys on an expert. Here policies are trained on the embedded rules' verdicts
and on MiniLM's, and each plays the held-out seeds under both, and with SmolLM2 as the rewriter in the place of the
embedded one. The edits of each training iteration are put to the other reviewer as well: where the two part, the reward
was optimised beyond what it stands for. Writes TRANSFER.md, its figures (TRANSFER.json), and a sample of accepted edits
to label by hand (TRANSFER-sample.jsonl), whose labels `--page-only` counts. Scratch files are under benchmarks/.runs,
which git ignores; a measurement that is interrupted goes on from them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.llm import machine
from benchmarks.policy.process import ROOT
from benchmarks.policy.reviewers import RULES, Asked, quietly, say, split
from benchmarks.policy.transfer_page import Cell, Iteration, Sizes, Transfer, page
from benchmarks.policy.transfer_sample import draw_sample, read_labels
from resources.language_models.embedding.reviewer import EmbeddingReviewer
from resources.language_models.llama_server import LlamaServer
from resources.language_models.offline.model import OfflineModel
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LanguageModel, Role
from teams_dagster.core.replies import Way
from teams_dagster.environment.recording import part_folder, training_parts
from teams_dagster.environment.state import Episode, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.requests import review_query
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.llm import loop
from teams_dagster.llm.ordered import in_order
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.comparison.bootstrap import measures
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import Contender, baseline_contenders
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.scores import HEADLINE, Measured, scored
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training_run import train_policy
from teams_dagster.weights import MINILM, SMOLLM2, models_folder, small_model

SCRATCH = ROOT / "benchmarks" / ".runs" / "transfer"
EMBEDDING = "MiniLM"
EMBEDDED_REWRITER, FOREIGN_REWRITER = "embedded rules", "SmolLM2"
PORT = 8181
"""Of llama.cpp's server: the address is part of a query's key, so it stays."""
EPISODE = TrainingConfig().reward.queries_an_episode
SLOTS = 6
"""Rewrites that SmolLM2 writes at once."""


@dataclass
class Study:
    """Trains and scores; `scratch` keeps what is done."""

    reviewers: Mapping[str, LanguageModel]
    sizes: Sizes
    scratch: Path
    accepted: dict[tuple[str, str], list[tuple[Instruction, Instruction]]] = field(default_factory=dict)
    """Accepted edits on held-out seeds, by policy and reviewer."""

    def world(self, reviewer: str, rewriter: LanguageModel | None = None) -> Asked:
        """One that asks `reviewer`."""
        ledger = sqlite_url(self.scratch / "ledger.sqlite")
        return Asked(self.reviewers[reviewer], ledger, f"reviewed by {reviewer}", rewriter or OfflineModel())

    def folder(self, reviewer: str, root_seed: int) -> Path:
        """Of one training."""
        return self.scratch / f"{reviewer.replace(' ', '-')}-{root_seed}"

    def trained(self, reviewer: str) -> Contender:
        """The policies trained on the verdicts of `reviewer`, as often as the sizes say."""
        checkpoints = [self._training(reviewer, root_seed) for root_seed in range(self.sizes.trainings)]
        training_seeds, _ = split(0)
        donors = tuple(training_seeds.values())
        return Contender(
            policy_of(reviewer),
            tuple(checkpoint.actor(None, donors) for checkpoint in checkpoints),
            tuple(checkpoint.policy_version for checkpoint in checkpoints),
        )

    def _training(self, reviewer: str, root_seed: int) -> Checkpoint:
        folder = self.folder(reviewer, root_seed)
        folder.mkdir(parents=True, exist_ok=True)
        training_seeds, _ = split(0)
        config = TrainingConfig(iterations=self.sizes.iterations, root_seed=root_seed)
        asking = self.world(reviewer).engine()
        checkpoint = loop.run(
            train_policy(asking, training_seeds, config, None, folder=folder, run_id=folder.name, log=quietly)
        )
        say(f"trained on {reviewer}'s verdicts, root seed {root_seed}: {len(checkpoint.curve)} iterations")
        return checkpoint

    def scored(
        self,
        contenders: Sequence[Contender],
        reviewer: str,
        rewriter: LanguageModel | None = None,
        *,
        rewriter_name: str = EMBEDDED_REWRITER,
        seeds: int | None = None,
        queries: int | None = None,
    ) -> list[Cell]:
        """Every policy and uniform on the held-out seeds, the first `seeds` of them, under `reviewer`.

        `queries` from each, in the place of what the sizes say.
        """
        training_seeds, held_out = split(0)
        played = dict(list(held_out.items())[:seeds])
        config = ComparisonConfig(questions_per_seed=queries or self.sizes.queries_per_seed)
        comparison = loop.run(self._compared(contenders, reviewer, rewriter, training_seeds, played, config))
        for cell in (found := list(cells(comparison, contenders, reviewer, rewriter_name))):
            say(f"{cell.policy}, reviewed by {reviewer}, rewritten by {rewriter_name}: {cell.headline}")
        return found

    async def _compared(
        self,
        contenders: Sequence[Contender],
        reviewer: str,
        rewriter: LanguageModel | None,
        training_seeds: Mapping[str, Instruction],
        played: Mapping[str, Instruction],
        config: ComparisonConfig,
    ) -> Comparison:
        def keep(name: str, by_seed: Mapping[str, SeedPlay]) -> None:
            if rewriter is None:
                edits = self.accepted.setdefault((name, reviewer), [])
                edits.extend(accepted_edits(episode for play in by_seed.values() for episode in play.episodes))

        async with self.world(reviewer, rewriter).engine() as engine:
            return await compare(
                Environment(engine, Pool(training_seeds.values()), TrainingConfig().reward, Role.INSTRUCTOR),
                [*contenders, *baseline_contenders([UNIFORM])],
                played,
                config,
                trained_on=training_seeds,
                sink=keep,
                progress=quietly,
            )

    async def iterations(self, reviewer: str, other: str) -> list[Iteration]:
        """For each training iteration the share of its reviewed edits that each of the two accepts."""
        found = []
        async with self.world(other).engine() as engine:
            for root_seed in range(self.sizes.trainings):
                for number, part in enumerate(training_parts(self.sizes.iterations)):
                    edits = list(reviewed_edits(part_folder(self.folder(reviewer, root_seed), part)))
                    queries = [review_query(before, after) for before, after, _ in edits]
                    replies = [reply async for reply in in_order(engine.ask, queries, 64)]
                    said = [parse_verdict(reply.completion.text) is Verdict.NOT_EQUAL for reply in replies]
                    own = [accepted for _, _, accepted in edits]
                    found.append(Iteration(reviewer, root_seed, number, len(edits), sum(own), sum(said)))
        return found


def policy_of(reviewer: str) -> str:
    """The name of the policy that was trained on the verdicts of `reviewer`."""
    return f"trained on {reviewer}"


def cells(comparison: Comparison, contenders: Sequence[Contender], reviewer: str, rewriter: str) -> Iterator[Cell]:
    """A row for each policy: the headline, over uniform, and less the policy that was trained on the other verdicts."""
    figures = {name: measures(result, comparison.resamples) for name, result in comparison.results.items()}
    names = [contender.name for contender in contenders]
    for name in (*names, UNIFORM):
        score = comparison.score(name, HEADLINE)
        over = None if name == UNIFORM else comparison.score(name, f"{HEADLINE}_over_uniform")
        other = next((each for each in names if each != name), None) if name != UNIFORM else None
        less = None
        if other is not None:
            difference = Measured(name, f"{HEADLINE}_minus_other", figures[name][HEADLINE] - figures[other][HEADLINE])
            by_name = {contender.name: contender for contender in contenders}
            totals = {name: comparison.tallies[name].episodes}, {name: comparison.tallies[name].queries}
            (less,) = scored([difference], by_name, *totals, ComparisonConfig().confidence)
        yield Cell.of(name, reviewer, rewriter, score, over, less, seeds=len(comparison.seed_ids))


def accepted_edits(episodes: Iterator[Episode]) -> Iterator[tuple[Instruction, Instruction]]:
    """Text before and after of every accepted edit of a comparison."""
    for episode in episodes:
        assert episode.key.purpose is EpisodePurpose.COMPARE
        for step in episode.transitions:
            if step.accepted and step.after is not None:
                yield step.before, step.after


def reviewed_edits(folder: Path) -> Iterator[tuple[Instruction, Instruction, bool]]:
    """Text before, text after, and whether it was accepted, of every edit in a part of the tables that was reviewed."""
    texts = {
        row["instruction_id"]: Instruction(row["text"], row["input"])
        for row in pq.read_table(folder / "instructions.parquet").to_pylist()
    }
    columns = ["parent_id", "instruction_id", "accepted", "review_request_id"]
    for row in pq.read_table(folder / "transitions.parquet", columns=columns).to_pylist():
        if row["review_request_id"] is not None and row["instruction_id"] is not None:
            yield texts[row["parent_id"]], texts[row["instruction_id"]], row["accepted"]


def foreign(study: Study, contenders: Sequence[Contender], gguf: Path) -> list[Cell]:
    """The first policy of each on SmolLM2's rewrites, which none of them has met: one episode from each seed."""
    first = [Contender(one.name, one.deciders[:1], one.versions[:1]) for one in contenders]
    with LlamaServer(gguf, port=PORT, slots=SLOTS) as server:
        rewriter = OpenAICompatibleModel(
            SMOLLM2, base_url=server.url, timeout_s=300, structured=Way.GRAMMAR, max_tokens=256
        )
        return study.scored(
            first, EMBEDDING, rewriter, rewriter_name=FOREIGN_REWRITER, seeds=study.sizes.foreign_seeds, queries=EPISODE
        )


def measure(study: Study, output: Path, gguf: Path | None) -> None:
    """Write the page to `output`, and figures and sample beside it."""
    described = machine.describe(ROOT)
    contenders = [study.trained(name) for name in study.reviewers]
    found = [cell for name in study.reviewers for cell in study.scored(contenders, name)]
    if gguf is not None:
        found += foreign(study, contenders, gguf)
    names = list(study.reviewers)
    iterations = [each for own, other in (names, names[::-1]) for each in loop.run(study.iterations(own, other))]
    sample = output.with_name(f"{output.stem}-sample.jsonl")
    draw_sample(study.accepted, study.sizes.labelled, sample)
    transfer = Transfer(study.sizes, described, tuple(found), tuple(iterations))
    output.with_suffix(".json").write_text(json.dumps(asdict(transfer), indent=1) + "\n", encoding="utf-8")
    output.write_text(page(transfer, read_labels(sample)), encoding="utf-8")
    say(f"wrote {output}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    usual = Sizes()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=usual.trainings, help="policies trained for each reviewer")
    parser.add_argument("--iterations", type=int, default=usual.iterations, help="updates of each, of 32 episodes")
    parser.add_argument(
        "--foreign-seeds", type=int, default=usual.foreign_seeds, help="held-out seeds for SmolLM2; 0: none"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "TRANSFER.md")
    parser.add_argument("--page-only", action="store_true", help="write the page again, after edits were labelled")
    asked = parser.parse_args(arguments)
    if asked.page_only:
        transfer = Transfer.of(json.loads(asked.output.with_suffix(".json").read_text(encoding="utf-8")))
        sample = asked.output.with_name(f"{asked.output.stem}-sample.jsonl")
        asked.output.write_text(page(transfer, read_labels(sample)), encoding="utf-8")
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    sizes = Sizes(asked.trainings, asked.iterations, foreign_seeds=asked.foreign_seeds)
    reviewers = {RULES: OfflineModel(), EMBEDDING: EmbeddingReviewer(str(small_model(ROOT, MINILM)))}
    scratch = SCRATCH / sizes.name
    scratch.mkdir(parents=True, exist_ok=True)
    gguf = models_folder(ROOT) / f"{SMOLLM2}.gguf" if asked.foreign_seeds else None
    measure(Study(reviewers, sizes, scratch), asked.output, gguf)


if __name__ == "__main__":
    main()
