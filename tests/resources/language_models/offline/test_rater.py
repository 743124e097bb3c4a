"""What the rule-based judge says of one pair, and where it says that it cannot tell."""

import asyncio

import pytest

from resources.language_models.offline.model import OfflineModel
from resources.language_models.offline.rater import rating
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import CompletionError, Intent, Purpose, Request, Role
from teams_dagster.dataset.quality.rating import REPLIES, Rating, parse_rating, rate_query

LOOP = "The tide comes in and goes out again. " * 6


@pytest.mark.parametrize(
    ("instruction", "answer", "said"),
    [
        (Instruction("Summarise the article above."), "It is about a harbour.", Rating.UNANSWERABLE),
        (Instruction("Translate the following sentence."), "Guten Tag.", Rating.UNANSWERABLE),
        (Instruction("Translate the following sentence.", "Good day."), "Guten Tag.", Rating.CANNOT_TELL),
        (Instruction("Translate the following sentence: Good day."), "Guten Tag.", Rating.CANNOT_TELL),
        (
            Instruction("Describe the sea in at most 5 words."),
            "It is wide, blue, deep and cold.",
            Rating.CONSTRAINT_IGNORED,
        ),
        (Instruction("Explain tides."), LOOP, Rating.PARTLY),
        (
            Instruction("Explain tides."),
            "The tide comes in " * 3 + " ".join(map(str, range(20))) + " and then the",
            Rating.PARTLY,
        ),
        (Instruction("Explain why bread dough rises."), "Bread dough rises because yeast makes gas.", Rating.GOOD),
        (Instruction("What is the capital of Canada?"), "Ottawa.", Rating.CANNOT_TELL),
        (Instruction("Explain how a fridge works."), "Bread rises because of its yeast.", Rating.CANNOT_TELL),
    ],
)
def test_it_says_what_a_comparison_of_texts_can_tell(instruction: Instruction, answer: str, said: Rating):
    assert parse_rating(rating(instruction, answer)) is said


def test_the_offline_model_serves_the_query_with_one_of_its_allowed_replies():
    completion = asyncio.run(OfflineModel().complete(rate_query(Instruction("Name a fruit."), "Apple")))
    assert completion.text in REPLIES


def test_a_rating_without_an_answer_is_refused():
    request = Request(Role.JUDGE, Intent(Purpose.RATE, Instruction("Name a fruit.")), (), "")
    with pytest.raises(CompletionError, match="needs the answer"):
        asyncio.run(OfflineModel().complete(request))
