"""A task file says what to write after, what earns a reward, and how it is measured."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from teams_dagster.rlgf import sentiment
from teams_dagster.rlgf.sentiment import NEGATIVE, POSITIVE, positivity
from teams_dagster.rlgf.task import Task, known_tasks, load_task
from tests.support.small_llama import END, VOCABULARY

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


def test_cider_knows_the_references_of_the_whole_task(tmp_path):
    entries = [{"prompt": "dog:", "reference": "A dog runs."}, {"prompt": "cat:", "reference": "A cat runs."}]
    task = load_task(written(tmp_path, reward="cider", prompts=entries[:1], evaluation=entries[1:]))
    assert task.rewards(["dog:", "cat:"], ["a dog runs", "a dog runs"])[0] == pytest.approx(7.5)


def test_a_classifier_earns_the_probability_of_its_label_and_reads_the_prompt_of_a_continuation(classifier, tmp_path):
    def probabilities(texts):
        tokenizer = AutoTokenizer.from_pretrained(classifier)
        model: Any = AutoModelForSequenceClassification.from_pretrained(classifier)
        return [float(model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, 1]) for text in texts]

    named = {"model": str(classifier), "label": "LABEL_1"}
    settings = {"reward": "classifier", "classifier": named, "prompts": ["w1 w2"], "evaluation": ["w5"]}
    for asks, read in (("continuation", ["w1 w2 w3 w4", "w1 w2 w4"]), ("chat", [" w3 w4", " w4"])):
        task = load_task(written(tmp_path, asks=asks, **settings))
        found = task.rewards(["w1 w2"] * 2, [" w3 w4", " w4"])
        assert found == pytest.approx(probabilities(read), abs=1e-6)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (None, r"classifier reads a model: say which by `classifier: \{model: \.\.\., label: \.\.\.\}`"),
        ({"label": "joy"}, r"classifier\.label is 'joy', and .* knows LABEL_0, LABEL_1: name one"),
        ({"model": "no/where"}, r"classifier\.model no/where is no sequence classifier that can be read"),
    ],
)
def test_a_classifier_that_cannot_say_it_is_refused(classifier, tmp_path, monkeypatch, named, said):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    given = None if named is None else {"model": str(classifier), "label": "LABEL_1"} | named
    with pytest.raises(ValueError, match=said):
        load_task(written(tmp_path, reward="classifier", classifier=given)).rewards(["It was"], [" w1"])


@pytest.fixture
def classifier(tmp_path):
    """The folder of one that knows nothing, of two labels."""
    folder = tmp_path / "classifier"
    words = Tokenizer(models.WordLevel({f"w{index}": index for index in range(VOCABULARY)}, unk_token="w15"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0").save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        }
        config = BertConfig(vocab_size=VOCABULARY, pad_token_id=END, initializer_range=0.5, **sizes)
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_vader_without_its_package_says_which(monkeypatch, tmp_path):
    monkeypatch.setattr(sentiment, "PACKAGE", "no_such_package")
    with pytest.raises(ValueError, match="vader needs the package no_such_package, which is not installed"):
        load_task(written(tmp_path, reward="vader"))


def test_vader_scores_a_text_as_its_package_does(tmp_path):
    found = load_task(written(tmp_path, reward="vader")).rewards(["It was"] * 3, [" great!", " horrible", " a day"])
    assert found[0] > 0 > found[1]
    assert found[2] == 0


def test_a_task_of_the_hub_is_read_from_its_data_set_at_a_revision(tmp_path, monkeypatch):
    cached = tmp_path / "datasets--people--tasks"
    for revision in ("1" * 40, "2" * 40):
        (cached / "snapshots" / revision).mkdir(parents=True)
        written(cached / "snapshots" / revision, name=revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("2" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_task("people/tasks").name == "2" * 40
    assert load_task("people/tasks@" + "1" * 40).name == "1" * 40
    with pytest.raises(ValueError, match=r"there is no file people/others, and no task\.yaml came from the hub"):
        load_task("people/others")


def test_a_missing_file_is_told_with_the_tasks_that_there_are():
    with pytest.raises(ValueError, match=r"there is no task nowhere\.yaml: .*positive_continuation"):
        load_task("nowhere.yaml")


def test_a_file_that_is_no_task_names_the_field(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)is not a task.*reward"):
        load_task(written(tmp_path, reward="luck"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "it (line 1) has no name, reward, prompts, evaluation"),
        ("", "it has no name"),
        ("name: mine\nreward: luck\n", "reward (line 2): Input should be 'positivity'"),
        ('name: "mine\n', "line 2: found unexpected end of stream in what begins in line 1"),
        (b"name: caf\xe9", "cannot be read as text"),
    ],
)
def test_what_is_wrong_with_a_task_file_is_one_sentence_with_its_line(tmp_path, content, told):
    file = tmp_path / "task.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="is not a task") as raised:
        load_task(file)
    (line,) = str(raised.value).splitlines()
    assert told in line


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
