"""What is kept of the requests behind a training, and the table of what became of one adapter."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.evaluation.rlgf.stored import ASKED, read_asked, read_stages, settle_asked
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.evaluation import JudgeModel
from teams_dagster.store.facts.rlgf import RLGFScoreFacts, StageScores


def test_requests_are_told_apart_by_what_they_were_for(tmp_path: Path) -> None:
    (tmp_path / ASKED).write_text("judge b\nguide c\njudge a\n")
    assert read_asked(tmp_path) == {"judge": {"a", "b"}, "guide": {"c"}}


def test_what_was_asked_again_after_a_kill_counts_once(tmp_path: Path) -> None:
    (tmp_path / ASKED).write_text("judge b\njudge a\njudge b\njudge aborted-in-the-midd")
    settle_asked(tmp_path)
    assert (tmp_path / ASKED).read_text() == "judge a\njudge b\n"


def test_a_training_that_asked_nobody_leaves_no_file(tmp_path: Path) -> None:
    assert settle_asked(tmp_path) == {"guide": set(), "judge": set()}
    assert not (tmp_path / ASKED).exists()


def scored(store: ArtefactStore, day: int, algorithm: str, *, lora: str = "lora", questions: int = 40) -> None:
    stages = [
        StageScores(
            stage=stage,
            model_version=f"{lora} {stage}",
            heldout_loss=1.0,
            choice_accuracy=0.5,
            queries=0,
            cost_nano_usd=None,
        )
        for stage in ("base", "fine-tuning", f"fine-tuning + {algorithm}")
    ]
    about = {
        "inputs": {"lora_model": lora, "rlgf_model": algorithm},
        "config": {"questions": questions},
        "made_at": f"2026-11-{day:02}T00:00:00",
    }
    facts = RLGFScoreFacts(judge=JudgeModel(provider="p", model="m"), questions=questions, too_long=0, stages=stages)
    with store.writing("rlgf_scores", f"{day}", about=about) as draft:
        draft.finish(f"scores {day}", facts)


def test_every_algorithm_that_went_on_from_the_same_adapter_has_a_row(tmp_path: Path) -> None:
    store = ArtefactStore(data_dir=str(tmp_path))
    assert read_stages(store) == []
    scored(store, 1, "rloo", lora="another")
    scored(store, 2, "bc", questions=8)
    scored(store, 3, "ppo")
    scored(store, 4, "grpo")
    scored(store, 5, "ppo")
    found = [stage.stage.removeprefix("fine-tuning + ") for stage in read_stages(store)]
    assert found == ["base", "fine-tuning", "grpo", "ppo"]
