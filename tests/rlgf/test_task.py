"""A task file says what to write after, what earns a reward, and how it is measured."""

from pathlib import Path

import pytest
import yaml

from teams_dagster.rlgf.lexicon import NEGATIVE, POSITIVE, positivity
from teams_dagster.rlgf.task import Task, known_tasks, load_task

CONTENT = {"name": "mine", "reward": "positivity", "prompts": ["It was"], "evaluation": ["They were"]}


def written(folder: Path, **changes) -> Path:
    file = folder / "task.yaml"
    file.write_text(yaml.safe_dump(CONTENT | changes), encoding="utf-8")
    return file


def test_a_task_file_is_read(tmp_path):
    task = load_task(written(tmp_path))
    assert task == Task(**CONTENT)
    assert task.rewards(["It was", "It was"], [" a great day", " a day"]) == [positivity("great"), 0.0]


def test_every_task_of_the_package_is_read_by_its_name():
    assert known_tasks() == ["positive_continuation"]
    for name in known_tasks():
        assert load_task(name).prompts


def test_a_missing_file_is_told_with_the_tasks_that_there_are():
    with pytest.raises(ValueError, match=r"there is no task nowhere\.yaml: .*positive_continuation"):
        load_task("nowhere.yaml")


def test_a_file_that_is_no_task_names_the_field(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)is not a task.*reward"):
        load_task(written(tmp_path, reward="luck"))


def test_a_prompt_is_trained_on_or_measured_and_never_both(tmp_path):
    with pytest.raises(ValueError, match="'It was' is among `prompts` and `evaluation`"):
        load_task(written(tmp_path, evaluation=["It was"]))


def test_another_prompt_is_another_version():
    assert Task(**CONTENT).version != Task(**{**CONTENT, "prompts": ["It is"]}).version


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("a wonderful, warm evening", 1),
        ("a terrible evening", -1),
        ("not a good evening", -1),
        ("it wasn’t bad", 1),
        ("an evening", 0),
        ("good and bad", 0),
    ],
)
def test_positivity_is_of_the_words_and_what_turns_them_around(text, sign):
    assert (positivity(text) > 0) - (positivity(text) < 0) == sign


def test_repeating_a_word_earns_nothing():
    assert positivity("good good good") == positivity("good")


def test_positivity_is_below_one():
    assert 0.9 < positivity(" ".join(sorted(POSITIVE))) < 1


def test_no_word_is_on_both_sides():
    assert not POSITIVE & NEGATIVE
