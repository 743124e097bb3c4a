"""The searched rules of a comparison: each is searched as often as the policy is trained, on as many queries."""

from __future__ import annotations

from collections.abc import Callable

from teams_dagster.environment.recording import recording, training_parts
from teams_dagster.environment.state import Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.policy.comparison.contenders import Contender
from teams_dagster.policy.comparison.trainings import Trainings
from teams_dagster.policy.searched.searches import SEARCHES, Searched, never_draws, searched_version
from teams_dagster.policy.searched.trial import Trial


async def search_contenders(
    environment: Environment,
    trainings: Trainings,
    on_episode: Callable[[Episode], object],
    say: Callable[[str], None],
) -> tuple[list[Contender], list[str]]:
    """The searched rules of the plan, and the parts of the tables that their episodes were written to.

    A search that was interrupted is made again: its answers are on the ledger.
    """
    contenders: list[Contender] = []
    parts: list[str] = []
    for name in trainings.plan.searched:
        found: list[Searched] = []
        versions: list[str] = []
        for number in range(trainings.plan.training_seeds):
            trial = _trial(environment, trainings, name, number, on_episode)
            actor = await SEARCHES[name](trial)
            found.append(actor)
            versions.append(searched_version(name, trial.root_seed, actor))
            parts += training_parts(trial.rounds, _part(name, trial.root_seed))
            say(f"searched {name} with root seed {trial.root_seed}, {trial.asked} queries: {actor}")
        contenders.append(Contender(name, tuple(found), tuple(versions), all(map(never_draws, found))))
    return contenders, parts


def _trial(
    environment: Environment,
    trainings: Trainings,
    name: str,
    number: int,
    on_episode: Callable[[Episode], object],
) -> Trial:
    """As many queries as the deployed policy's training asked, from the same seeds."""
    deployed, root_seed = trainings.deployed, trainings.deployed.config.root_seed + number
    return Trial(
        environment,
        trainings.seeds,
        name,
        root_seed,
        queries=sum(record.queries for record in deployed.curve),
        allowed=deployed.config.allowed_operations,
        gamma=deployed.config.gamma,
        sink=recording(trainings.folder, trainings.run_id, _part(name, root_seed)),
        on_episode=on_episode,
    )


def _part(name: str, root_seed: int) -> str:
    return f"{name}-{root_seed}"
