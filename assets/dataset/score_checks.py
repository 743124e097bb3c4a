"""Check of the scores of pairs."""

import dagster as dg

from assets.check_results import not_applicable, warning
from teams_dagster.dataset.pair_settings import JUDGE
from teams_dagster.dataset.quality.rating import Rating
from teams_dagster.dataset.quality.scores import UNANSWERED
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import PairScoreFacts

MOST_UNREADABLE = 0.05
"""Of a generation's ratings."""


@dg.asset_check(
    asset="pair_scores",
    description=f"At most {MOST_UNREADABLE:.0%} of the judge's ratings could not be read or did not come.",
    metadata={
        "severity": "warning",
        "remedy": "Hold the judge to its replies (TEAMS_JUDGE_STRUCTURED), or take another judge.",
    },
)
def ratings_can_be_read(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A pair without a rating passes any threshold."""
    generations = [store.current(SCORES, week) for week in store.partitions(SCORES)]
    facts = {scores.manifest["partition_key"]: scores.read_facts(PairScoreFacts) for scores in generations}
    judged = {week: found for week, found in facts.items() if found.scored_by == JUDGE and found.pairs}
    if not judged:
        return not_applicable("no generation was scored by the judge")
    lost = {
        week: sum(found.ratings.get(name, 0) for name in (Rating.UNCLEAR, UNANSWERED)) for week, found in judged.items()
    }
    poor = {week: count for week, count in lost.items() if count > MOST_UNREADABLE * judged[week].pairs}
    told = "; ".join(f"generation {week}: {lost[week]} of {judged[week].pairs}" for week in poor or lost)
    return warning(not poor, f"ratings that could not be read or did not come: {told}", **lost)
