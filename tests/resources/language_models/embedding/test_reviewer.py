"""MiniLM as reviewer, measured on the labelled pairs that did not calibrate it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.language_models.embedding.reviewer import AN_ANSWER, EditReader, EmbeddingReviewer
from resources.language_models.opening import open_model
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Completion, CompletionError, Request
from teams_dagster.instructions.requests import review_query
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.preflight.labelled_pairs import ReviewPair, Split, review_pairs
from teams_dagster.role_settings import RoleSettings
from teams_dagster.settings import Settings
from teams_dagster.weights import MINILM
from tests.support.questions import question

TESTING = [pair for pair in review_pairs() if pair.split is Split.TEST]

SOUP = Instruction("Explain how to cook soup for 4 people.")


@pytest.fixture(scope="module")
def minilm(small_models: Path) -> str:
    """The folder of MiniLM."""
    return str(small_models / MINILM)


@pytest.fixture(scope="module")
def reader(minilm: str) -> Iterator[EditReader]:
    """MiniLM, loaded and calibrated."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield EditReader(minilm)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def verdicts(reader: EditReader) -> dict[ReviewPair, Verdict]:
    """Its verdict on each pair that tests."""
    replies = reader.review([(pair.before, pair.after) for pair in TESTING])
    return {pair: parse_verdict(reply.text) for pair, reply in zip(TESTING, replies, strict=True)}


def ask(model: EmbeddingReviewer, *requests: Request) -> list[Completion]:
    async def every() -> list[Completion]:
        try:
            return await asyncio.gather(*[model.complete(request) for request in requests])
        finally:
            await model.close()

    return asyncio.run(every())


@pytest.mark.slow
@pytest.mark.parametrize("label", [Verdict.EQUAL, Verdict.NOT_EQUAL])
def test_most_verdicts_are_those_of_the_labels(verdicts: dict[ReviewPair, Verdict], label: Verdict):
    right = [verdict is label for pair, verdict in verdicts.items() if pair.label is label]

    assert sum(right) / len(right) >= 0.75


@pytest.mark.parametrize("kind", ["changed_number", "changed_code"])
def test_a_single_changed_number_or_line_of_code_is_not_equal(verdicts: dict[ReviewPair, Verdict], kind: str):
    assert {verdict for pair, verdict in verdicts.items() if pair.kind == kind} == {Verdict.NOT_EQUAL}


def test_an_answer_in_the_place_of_an_edit_is_never_accepted(verdicts: dict[ReviewPair, Verdict]):
    assert {verdict for pair, verdict in verdicts.items() if pair.kind == "answer"} == {Verdict.UNCLEAR}


def test_a_review_says_how_likely_not_equal_is_and_what_it_read(minilm: str, reader: EditReader):
    edit = Instruction("Explain how to cook soup for 9 people.")
    (reply,) = ask(EmbeddingReviewer(minilm), review_query(SOUP, edit))

    (measured,) = reader.measure([(SOUP, edit)])
    assert reply.probabilities is not None
    assert reply.probabilities["Not Equal"] == pytest.approx(reader.calibration.probability(measured), abs=1e-4)
    assert (reply.text, reply.usage.completion_tokens) == ("Not Equal", 0)


def test_each_text_is_embedded_once(reader: EditReader, monkeypatch: pytest.MonkeyPatch):
    embedded: list[str] = []
    encode = reader._model.encode  # the weights' own work is what is counted
    monkeypatch.setattr(
        reader._model, "encode", lambda texts, **options: embedded.extend(texts) or encode(texts, **options)
    )

    edits = [Instruction(f"Explain how to cook soup for {n} people.") for n in (5, 6)]
    reader.review([(SOUP, edit) for edit in edits])
    reader.review([(SOUP, edit) for edit in edits])

    assert sorted(text for text in embedded if text != SOUP.text) == [edit.text for edit in edits]
    assert embedded.count(SOUP.text) <= 1


def test_an_answer_has_no_probability(reader: EditReader):
    (reply,) = reader.review([(SOUP, Instruction("Chop the onions and boil them with salt."))])

    assert (reply.text, reply.probabilities) == (AN_ANSWER, None)


def test_the_provider_is_named_in_the_settings(tmp_path: Path):
    role = RoleSettings(provider="embedding", model="sentence-transformers/all-MiniLM-L6-v2")
    settings = Settings(root=tmp_path, data_dir=tmp_path, ledger_url="sqlite://", dagster_home=tmp_path)

    identity = open_model(role, settings).identity

    assert (identity.provider, identity.model) == ("embedding", "sentence-transformers/all-MiniLM-L6-v2")


def test_anything_but_a_review_is_refused(tmp_path: Path):
    with pytest.raises(CompletionError, match=r"rejected.*reviews and does nothing else"):
        ask(EmbeddingReviewer(str(tmp_path)), question())


def test_weights_that_cannot_be_loaded_are_named(tmp_path: Path):
    with pytest.raises(CompletionError, match=f"unloadable.*{tmp_path}"):
        ask(EmbeddingReviewer(str(tmp_path)), review_query(SOUP, SOUP))


def test_the_same_weights_are_the_same_model_wherever_they_are(tmp_path: Path):
    folders = [tmp_path / place / "minilm" for place in ("one", "two", "changed")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_text(folder.parent.name if folder.parent.name == "changed" else "weights")

    one, two, changed = (EmbeddingReviewer(str(folder)).identity for folder in folders)
    assert one == two != changed
