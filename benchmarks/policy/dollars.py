"""Reward `dollars` beside `graded`: what a policy that is trained by prices saves, and what it gives up for it.

    python -m benchmarks.policy.dollars

A minute or two on one core. The embedded rules answer, and take a token for each four characters; what tokens cost is
in `dollars_prices.toml`. The draws are fixed, so the table is the same each time. Writes DOLLARS.md beside this file.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.policy.remembering import Remembering
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Completion, ModelIdentity, Request, Role, Usage
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path
from teams_dagster.policy.checkpoint import Checkpoint, divide
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import TRAINED, Contender, baseline_contenders
from teams_dagster.policy.comparison.dollars import DOLLARS_EACH, NOVELTY_PER_DOLLAR, Spending, dollar_measures
from teams_dagster.policy.comparison.scores import Measured, interval
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train
from teams_dagster.pricing.generation_prices import GenerationPrices, generation_prices
from teams_dagster.pricing.prices import load_prices

HERE = Path(__file__).parent
TRAININGS = 1
WORTH_USD = (0.01, 0.005)
EXPERT, REVIEWER = ModelIdentity("counted", "strong"), ModelIdentity("counted", "small")
SHOWN = (DOLLARS_EACH, NOVELTY_PER_DOLLAR, "distinct_accepted_per_query", "accepted_per_episode")
DIGITS = {DOLLARS_EACH: 6, NOVELTY_PER_DOLLAR: 0}


class Counted(Remembering):
    """The embedded rules, with a token for each four characters of what is asked and of the answer."""

    def identity(self, role: Role) -> ModelIdentity:
        """A name of this study's own."""
        return EXPERT if role is Role.INSTRUCTOR else REVIEWER

    def usage(self, request: Request, completion: Completion) -> Usage:
        """As a model would have taken."""
        asked = sum(len(message.content) for message in request.messages)
        return Usage(asked // 4, 0, max(1, len(completion.text) // 4))


@dataclass(frozen=True)
class Study:
    """What is compared, and on which seeds."""

    client: Counted
    train: Mapping[str, Instruction]
    held_out: Mapping[str, Instruction]
    prices: GenerationPrices

    def rewards(self) -> dict[str, RewardConfig]:
        """By their names in the table."""
        found = {"graded": RewardConfig()}
        for worth in WORTH_USD:
            dollars = DollarReward(prices=self.prices, edit_worth_usd=worth)
            found[f"dollars, an edit is worth ${worth:g}"] = RewardConfig(preset=RewardPreset.DOLLARS, dollars=dollars)
        return found

    async def trained(self, reward: RewardConfig, folder: Path) -> list[Checkpoint]:
        """Trainings that differ in their random streams."""
        return [
            await train(
                self.client,
                self.train,
                TrainingConfig(root_seed=number, reward=reward),
                folder / f"{number}.pt",
                progress=lambda _: None,
            )
            for number in range(TRAININGS)
        ]

    async def compared(self, checkpoints: list[Checkpoint]) -> tuple[Comparison, list[Measured]]:
        """These trainings against uniform, on seeds they never met."""
        actors, versions = [c.actor() for c in checkpoints], [c.policy_version for c in checkpoints]
        contenders = [Contender(TRAINED, tuple(actors), tuple(versions)), *baseline_contenders(["round_robin"])]
        spending = Spending(self.prices)
        environment = Environment(self.client, Pool(self.train.values()), RewardConfig(), Role.INSTRUCTOR)
        found = await compare(
            environment,
            contenders,
            self.held_out,
            ComparisonConfig(),
            trained_on=self.train,
            sink=spending.keep,
            progress=lambda _: None,
        )
        return found, list(dollar_measures(found.results, spending.spent(), found.resamples))


def cell(comparison: Comparison, measures: list[Measured], policy: str, metric: str) -> str:
    """A figure with its 95% interval."""
    digits = DIGITS.get(metric, 3)
    in_dollars = next((m.values for m in measures if (m.policy, m.metric) == (policy, metric)), None)
    if in_dollars is None:
        score = comparison.score(policy, metric)
        mean, low, high = score.mean, score.ci_low, score.ci_high
    else:
        mean, (low, high) = float(in_dollars[0]), interval(in_dollars, 0.95)
    return f"{mean:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


async def main() -> None:
    """Train, compare, write the table."""
    seeds = load_seeds(shipped_seeds_path()).seeds
    train_side, held_out = divide(seeds, seed_clusters(seeds))
    prices = generation_prices(load_prices(HERE / "dollars_prices.toml"), EXPERT, REVIEWER)
    study = Study(Counted(), train_side, held_out, prices)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, reward) in enumerate(study.rewards().items()):
            place = Path(folder) / str(number)
            place.mkdir()
            comparison, measures = await study.compared(await study.trained(reward, place))
            rows.append([name, *(cell(comparison, measures, TRAINED, metric) for metric in SHOWN)])
            print(rows[-1], flush=True)
            if number == 0:
                baselines = ("uniform", "round_robin")
                rows += [[b, *(cell(comparison, measures, b, metric) for metric in SHOWN)] for b in baselines]
    lines = [["trained by", *SHOWN], ["---"] * (len(SHOWN) + 1), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    (HERE / "DOLLARS.md").write_text(f"{HEADER}\n{table}\n", encoding="utf-8")


HEADER = f"""# Reward `dollars` beside `graded`

`python -m benchmarks.policy.dollars`: the embedded rules with a token for each four characters, at the prices of
`dollars_prices.toml` ($2.50 and $10 per million tokens for the rewrite, $0.15 and $0.60 for the review). {TRAININGS}
training of each reward at the default settings, compared on held-out seeds at equal queries, with 95% intervals, which
do not show how much trainings vary. Less is better in the first column, more in the others.
"""


if __name__ == "__main__":
    asyncio.run(main())
