"""A token-level training as its artefact holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.ledger.costs import cost_of_requests
from teams_dagster.ledger.writer import Ledger
from teams_dagster.rlgf.asking import GUIDE, JUDGE
from teams_dagster.rlgf.model_card import RLGFCard
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.store.facts.rlgf import RLGFFacts, RLGFScoreFacts, StageScores, TextMetrics
from teams_dagster.student.adapter_config import REPORT
from teams_dagster.student.stored import on_hub, student_name

if TYPE_CHECKING:
    from teams_dagster.rlgf.run_request import RLGFRequest

START, NOBODY = "start", "none"
"""Who guides where it is not a role: the model before the training; nobody, where the algorithm has no guide."""
ASKED = "asked.txt"
"""What each request was for and its id, a line each: which guide's texts and whose verdicts made the adapter."""


def read_asked(folder: Path) -> dict[str, set[str]]:
    """By what they were for, the ids of the requests in a training's folder. A line that was cut off counts as none."""
    found: dict[str, set[str]] = {GUIDE: set(), JUDGE: set()}
    file = folder / ASKED
    if file.exists():
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            what, _, request_id = line.partition(" ")
            found[what].add(request_id)
    return found


def settle_asked(folder: Path) -> dict[str, set[str]]:
    """The same, each line once, whole and in order from now on: a training that goes on asks some of them again."""
    found = read_asked(folder)
    lines = [f"{what} {request_id}\n" for what, ids in sorted(found.items()) for request_id in sorted(ids)]
    if lines:
        write_atomically(folder / ASKED, "".join(lines))
    return found


def rlgf_facts(
    request: RLGFRequest, ledger: Ledger, *, judge: str | None, outcomes: Mapping[str, dict[str, Any]]
) -> RLGFFacts:
    """What is kept of a training that has ended well.

    Args:
        judge: Which model's preference was the reward; None where the task has one of its own.
        outcomes: Those of this run's queries, by purpose.
    """
    config = request.config
    report, asked = read_report(request.folder / REPORT), settle_asked(request.folder)
    guide = (request.guide or START) if config.algorithm.asks_guide else NOBODY
    ids = sorted(asked[GUIDE] | asked[JUDGE])
    return RLGFFacts(
        algorithm=config.algorithm.name,
        task=report["task"],
        guide=guide,
        judge=judge,
        iterations=len(report["records"]),
        learner_tokens=sum(record["learner_tokens"] for record in report["records"]),
        guide_tokens=sum(record["guide_tokens"] for record in report["records"]),
        guide_queries=len(asked[GUIDE]),
        judge_queries=len(asked[JUDGE]),
        requests=content_hash("requests", ids) if ids else "",
        cost_nano_usd=cost_of_requests(ledger, ids),
        before=TextMetrics.model_validate(report["evaluations"][0]["metrics"]),
        after=TextMetrics.model_validate(report["evaluations"][-1]["metrics"]),
        settings=config.model_dump(mode="json"),
        outcomes=dict(outcomes),
    )


def rlgf_card(base: Artefact, lora: Artefact, store: ArtefactStore, version: str, facts: RLGFFacts) -> RLGFCard:
    """The card of the model `version` that began with `lora`. Raises ArtefactMissing where its dataset is gone."""
    known = base.read_facts(BaseFacts)
    dataset = store.of_version("instruction_dataset", lora.manifest["inputs"]["instruction_dataset"])
    return RLGFCard(
        model_version=version,
        base=student_name(known),
        base_version=base.data_version,
        base_on_hub=on_hub(known),
        start_version=lora.data_version,
        dataset=DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8")),
        facts=facts,
    )


def read_report(file: Path) -> dict[str, Any]:
    """The report of a training: `records`, one an iteration, `evaluations`, `config` and `task`."""
    return json.loads(file.read_text(encoding="utf-8"))


def comparable_scores(store: ArtefactStore) -> list[Artefact]:
    """The current comparison, and before it those of other trainings of the same adapter; none where there is none.

    They were scored on the same dataset by the same judge with the same settings.
    """
    if not store.exists("rlgf_scores"):
        return []
    current = store.current("rlgf_scores")
    alike = [other for other in store.all_of("rlgf_scores") if _comparable(other) == _comparable(current)]
    last = {_stages(other)[-1].model_version: other for other in alike}
    newest = _stages(current)[-1].model_version
    return [*(other for version, other in last.items() if version != newest), current]


def read_stages(store: ArtefactStore) -> list[StageScores]:
    """The base, one fine-tuning, and what each of the comparable trainings made of it; the current one comes last."""
    scores = comparable_scores(store)
    return [*_stages(scores[-1])[:-1], *(_stages(each)[-1] for each in scores)] if scores else []


def _stages(artefact: Artefact) -> list[StageScores]:
    return artefact.read_facts(RLGFScoreFacts).stages


def _comparable(artefact: Artefact) -> tuple[dict[str, str], dict[str, Any]]:
    """What has to be the same for two scores to stand in one table."""
    manifest = artefact.manifest
    inputs = {name: version for name, version in manifest["inputs"].items() if name != "rlgf_model"}
    return inputs, manifest["config"]
