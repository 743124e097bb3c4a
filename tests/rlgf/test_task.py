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
    assert known_tasks() == ["concepts", "positive_continuation", "summary"]
    for name in known_tasks():
        assert load_task(name).prompts


def test_a_prompt_may_have_its_concepts_and_reference_beside_it(tmp_path):
    entry = {"prompt": "Words: dog, run.", "concepts": ["dog", "run"], "reference": "A dog runs."}
    task = load_task(written(tmp_path, prompts=[entry, "It was"]))
    assert task.prompts == ("Words: dog, run.", "It was")
    assert task.concepts == {"Words: dog, run.": ("dog", "run")}
    assert task.references == {"Words: dog, run.": "A dog runs."}
    assert Task.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(("measure", "missing"), [("coverage", "concepts"), ("summary", "reference")])
def test_a_prompt_without_what_the_reward_reads_is_refused_by_name(tmp_path, measure, missing):
    with pytest.raises(ValueError, match=rf"{measure} reads .*'It was' has none: write it as .*{missing}: "):
        load_task(written(tmp_path, reward=measure))


def test_what_a_metric_reads_is_wanted_too(tmp_path):
    with pytest.raises(ValueError, match="rouge_l reads the references"):
        load_task(written(tmp_path, metrics=["rouge_l"]))


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"prompt": "It is", "concept": ["dog"]}, "'concept' beside the prompt 'It is'"),
        ({"concepts": ["dog"]}, "an entry without its `prompt`"),
    ],
)
def test_a_misspelt_entry_is_refused(tmp_path, entry, complaint):
    with pytest.raises(ValueError, match=complaint):
        load_task(written(tmp_path, prompts=[entry]))


def test_a_reward_that_reads_perplexities_is_not_given_without_them():
    task = load_task("concepts")
    assert task.reads_perplexity
    with pytest.raises(ValueError, match="concepts reads the perplexity of each text"):
        task.rewards(task.prompts[:1], ["A dog."])


@pytest.mark.parametrize(("name", "measure"), [("concepts", "coverage"), ("summary", "summary")])
def test_the_references_of_a_task_earn_the_most_that_words_can(name, measure):
    task = load_task(name)
    prompts = [*task.prompts, *task.evaluation]
    texts = [task.references[prompt] for prompt in prompts]
    assert task.scores(measure, prompts, texts) == [1.0] * len(prompts)


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
