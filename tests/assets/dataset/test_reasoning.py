"""An expert that thinks, over real HTTP: thoughts are kept on request, and nothing is asked anew for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from teams_dagster.store.facts.accounting import LineageFacts
from tests.support.openai_server import OpenAIServer, Reply
from tests.support.project import Project
from tests.support.served_rules import answer

WEEK = "2026-11-02"
LONG = 40
"""Words of a long thought."""


def thought_about(body: dict[str, Any]) -> str:
    """A short thought, or a long one about a third of the instructions."""
    asked = body["messages"][-1]["content"]
    return "Let me see." if len(asked) % 3 else " ".join(["hm"] * LONG)


def apart(body: dict[str, Any]) -> Reply:
    """What a server with a reasoning parser sends."""
    return Reply(answer(body), reasoning_content=thought_about(body))


def in_text(body: dict[str, Any]) -> Reply:
    """What a server without one sends."""
    return Reply(f"<think>\n{thought_about(body)}\n</think>\n\n{answer(body)}")


@dataclass(frozen=True)
class Story:
    """A generation of such an expert: answered without thoughts, then with them, made a dataset and verified."""

    project: Project
    before: list[dict[str, Any]]
    """The samples without thoughts."""
    after: list[dict[str, Any]]
    asked: tuple[int, int]
    """What the server had received, before and after."""

    @property
    def files(self) -> Path:
        return self.project.store.current("instruction_dataset").path("files")


@pytest.fixture(params=[apart, in_text], scope="module")
def story(request: pytest.FixtureRequest, seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    data = Path(shutil.copytree(seeded, tmp_path_factory.mktemp("data"), dirs_exist_ok=True))
    with OpenAIServer(request.param) as server, pytest.MonkeyPatch.context() as settings:
        settings.setenv("TEAMS_DATA_DIR", str(data))
        settings.setenv("TEAMS_PREFLIGHT", "off")
        settings.setenv("TEAMS_EXPERT_MODEL", "thinker")
        settings.setenv("TEAMS_EXPERT_BASE_URL", server.base_url)
        settings.setenv("TEAMS_EXPERT_STRUCTURED", "off")
        for role in ("REVIEWER", "INSTRUCTOR", "JUDGE", "GUIDE"):
            settings.setenv(f"TEAMS_{role}_PROVIDER", "offline")
        project = Project(data)
        assert project.make(
            generated_instructions, week=WEEK, generated_instructions={"seeds": 40, "policy": "uniform"}
        )
        assert project.make(expert_responses, week=WEEK)
        before, asked = samples(project), server.count
        kept = {"reasoning": True, "max_reasoning_words": LONG - 1}
        assert project.make(expert_responses, week=WEEK, expert_responses=kept)
        assert project.make(instruction_dataset)
        assert project.make(sample_lineage)
        yield Story(project, before, samples(project), (asked, server.count))


def samples(project: Project) -> list[dict[str, Any]]:
    return pq.read_table(project.store.current("expert_responses", WEEK).path("samples.parquet")).to_pylist()


@pytest.mark.slow
def test_samples_are_without_thoughts_by_default(story: Story):
    assert {row["reasoning"] for row in story.before} == {None}
    assert any(row["accepted"] for row in story.before)


@pytest.mark.slow
def test_asking_for_thoughts_sends_no_query(story: Story):
    before, after = story.asked
    assert after == before


def test_every_sample_has_its_thought_and_no_response_has_one(story: Story):
    assert {row["reasoning"] for row in story.after} == {"Let me see.", " ".join(["hm"] * LONG)}
    assert [row["response"] for row in story.after] == [row["response"] for row in story.before]
    assert not [
        row for row in story.after if any(mark in row["response"] for mark in ("<think>", "Let me see.", "hm hm"))
    ]


def test_long_thoughts_refuse_their_samples_by_name_and_nothing_else_changes(story: Story):
    too_long = {row["sample_id"] for row in story.after if row["reason"] == "reasoning_too_long"}
    assert too_long == {row["sample_id"] for row in story.before if row["accepted"]} & {
        row["sample_id"] for row in story.after if row["reasoning"] != "Let me see."
    }
    assert 0 < len(too_long) < len(story.after)


def test_the_dataset_has_them_in_a_column_of_their_own_and_in_chat_rows(story: Story):
    rows = pq.read_table(story.files / "train.parquet").to_pylist()
    assert {row["reasoning"] for row in rows} == {"Let me see."}
    chat = [json.loads(line)["messages"][1] for line in (story.files / "train.chat.jsonl").open(encoding="utf-8")]
    assert [(turn["content"], turn["reasoning_content"]) for turn in chat] == [
        (row["output"], row["reasoning"]) for row in rows
    ]


def test_the_data_card_says_how_many_have_one_and_why_others_are_not_there(story: Story):
    card = (story.files / "README.md").read_text(encoding="utf-8")
    assert "What the expert thought before it answered is kept of" in card
    assert "reasoning_too_long" in card.replace("\\", "")


def test_thoughts_are_replayed_from_the_ledger(story: Story):
    facts = story.project.store.current("sample_lineage").read_facts(LineageFacts)
    assert (facts.samples, facts.not_verified) == (len(story.after), {})
