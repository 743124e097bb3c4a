"""A project's own prompts: what its folder may hold, and what is refused before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Message, Role
from teams_dagster.evaluation.judging import judge_prompt
from teams_dagster.instructions.prompts import FOLDER, prompt
from teams_dagster.instructions.prompts.own import check_prompts
from teams_dagster.instructions.requests import review_query, rewrite_query
from teams_dagster.settings import SettingsError, load_settings

OLD = '{% include "_old.md" %}'

REVIEW = """Say Equal or Not Equal.
---
{{ instruction }}{{ input }}|{{ new_instruction }}{{ new_input }}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder of prompts, still empty."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    monkeypatch.setenv("TEAMS_PROMPTS", "prompts")
    return folder


def write(folder: Path, **templates: str) -> None:
    for name, text in templates.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def test_a_file_stands_for_the_shipped_prompt_of_its_name_and_for_no_other(own: Path):
    shipped, respond = prompt("review").version, prompt("respond").version
    write(own, review=REVIEW)
    load_settings(own.parent)
    asked = review_query(Instruction("a", "1"), Instruction("b", "2"))
    assert asked.messages == (Message("system", "Say Equal or Not Equal."), Message("user", "a1|b2"))
    assert asked.prompt_version == prompt("review").version != shipped
    assert prompt("respond").version == respond


def test_the_judges_prompt_can_be_replaced_too(own: Path):
    shipped = judge_prompt().version
    write(own, judge="A, B or tie?\n---\n{{ mark }}{{ instruction }}{{ input }}{{ first }}{{ second }}\n")
    load_settings(own.parent)
    assert judge_prompt().version != shipped


def test_sections_between_the_system_message_and_the_last_are_examples(own: Path):
    write(own, deepening=f"Deepen.\n---\nName a river.\n---\nWhy do rivers bend?\n---\n{OLD}")
    load_settings(own.parent)
    asked = rewrite_query(Role.INSTRUCTOR, Operation.DEEPENING, Instruction("Name a lake."))
    assert [message.role for message in asked.messages] == ["system", "user", "assistant", "user"]
    assert asked.messages[2].content == "Why do rivers bend?"
    assert "Name a lake." in asked.messages[3].content


def test_a_part_changes_the_shipped_prompts_that_include_it_with_their_versions(own: Path):
    deepening, breadth = prompt("deepening").version, prompt("breadth").version
    write(own, _rules="Soyez bref.")
    load_settings(own.parent)
    assert "Soyez bref." in prompt("deepening").source
    assert prompt("deepening").version != deepening
    assert prompt("breadth").version == breadth


def test_a_part_can_be_added(own: Path):
    write(own, _examples="Rivers bend.", deepening=f'Deepen. {{% include "_examples.md" %}}\n---\n{OLD}')
    load_settings(own.parent)
    assert prompt("deepening").source.startswith("Deepen. Rivers bend.")


def test_what_is_edited_during_a_run_changes_none_of_its_queries(own: Path):
    write(own, review=REVIEW)
    load_settings(own.parent)
    before = prompt("review")
    write(own, review=REVIEW.replace("|", " "))
    load_settings(own.parent)
    assert prompt("review") == before


def test_without_the_setting_the_shipped_prompts_are_in_use_again(own: Path, monkeypatch: pytest.MonkeyPatch):
    shipped = prompt("review").version
    write(own, review=REVIEW)
    load_settings(own.parent)
    monkeypatch.delenv("TEAMS_PROMPTS")
    load_settings(own.parent)
    assert prompt("review").version == shipped


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({}, "holds no template"),
        ({"reviews": REVIEW}, r"reviews\.md is no template.*did you mean review\.md"),
        ({"review": REVIEW.replace("{{ new_input }}", "")}, r"review\.md does not show \{\{ new_input \}\}"),
        ({"review": REVIEW + "{{ answer }}"}, r"review\.md shows \{\{ answer \}\}, which it is not given"),
        ({"review": REVIEW.replace("Not Equal", "No")}, "does not say 'Not Equal'"),
        ({"review": REVIEW.replace("---", "")}, r"review\.md must hold a system message.*1 section"),
        ({"review": REVIEW + "{% if %}"}, r"review\.md is no template.*line"),
        ({"breadth": f"Widen.\n---\n{OLD}"}, "does not say 'Instruction:', 'Input:'"),
        ({"guide": f"Guide.\n---\n{OLD}{{{{ history }}}}"}, "does not say 'breadth', 'add_constraints'"),
        ({"_rulse": "Be brief."}, r"_rulse\.md is a part that no template includes"),
        ({"deepening": f'{{% include "_mine.md" %}}\n---\n{OLD}'}, r"includes _mine\.md, and no such part"),
        ({"_old": "<instruction>{{ instruction }}</instruction>"}, r"does not show \{\{ input \}\}"),
    ],
)
def test_a_folder_that_cannot_be_asked_with_is_refused_by_the_name_of_variable_and_file(
    own: Path, templates: dict[str, str], message: str
):
    write(own, **templates)
    with pytest.raises(SettingsError, match=rf"(?s)^TEAMS_PROMPTS: .*{message}"):
        load_settings(own.parent)


def test_a_file_that_is_not_utf_8_is_refused(own: Path):
    (own / "review.md").write_bytes(REVIEW.replace("|", "\u00e9").encode("latin-1"))
    with pytest.raises(SettingsError, match=r"^TEAMS_PROMPTS: .*review\.md is not UTF-8"):
        load_settings(own.parent)


def test_a_folder_that_does_not_exist_is_refused(own: Path):
    own.rmdir()
    with pytest.raises(SettingsError, match=r"^TEAMS_PROMPTS: .* is no folder"):
        load_settings(own.parent)


def test_the_shipped_examples_for_small_models_can_be_asked_with():
    check_prompts(FOLDER / "few_shot")
