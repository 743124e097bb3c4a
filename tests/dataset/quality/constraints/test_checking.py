import pytest

from teams_dagster.dataset.quality.constraints.checking import broken, constraints_of, holds
from teams_dagster.dataset.quality.constraints.constraint import Kind
from teams_dagster.preflight.labelled_pairs import rating_pairs

PLANTED = [pair.model_dump(mode="json") for pair in rating_pairs()]

KINDS = [
    (Kind.WORDS, "Describe the sea in at most 5 words.", "Wide, blue and deep.", "It is wide and blue and very deep."),
    (Kind.WORDS, "Answer in 5 words or less.", "Wide and blue.", "It is wide and blue and very deep."),
    (Kind.WORDS, "Write a three-word slogan for a shop.", "Ride further, smiling", "Ride much further and smile"),
    (Kind.SENTENCES, "Explain rain in exactly two sentences.", "It falls. Dr. Low knows.", "It falls."),
    (Kind.SENTENCES, "Your answer should contain at least 3 sentences.", "A b. C d. E f.", "A b. C d."),
    (Kind.PARAGRAPHS, "Write two paragraphs about rain.", "It falls.\n\nIt is wet.", "It falls."),
    (Kind.LINES, "Write a poem about rain in three lines.", "It falls\non us\nagain", "It falls\non us"),
    (Kind.CHARACTERS, "Answer in no more than 10 characters.", "It rains.", "It rains cats and dogs."),
    (Kind.BULLETS, "Give two bullet points on rain.", "- wet\n  - very\n- cold", "- wet"),
    (Kind.BULLETS, "Give reasons for rain as a bulleted list.", "* clouds\n* wind", "Clouds and wind."),
    (Kind.NUMBERED, "Give the steps as a numbered list.", "1. Mix\n2. Bake", "Mix, then bake."),
    (Kind.PLACEHOLDERS, "Your answer must contain at least 2 placeholders.", "Dear [name], [text]", "Dear [name]"),
    (Kind.HIGHLIGHTS, "Highlight at least 2 words in your answer.", "It *is* so **wet**.", "It *is* wet."),
    (Kind.JSON, "Answer in JSON format.", 'Here it is:\n```json\n{"rain": 1}\n```', "rain: 1"),
    (Kind.TABLE, "Present the answer as a table.", "| a | b |\n|---|---|\n| 1 | 2 |", "a is 1, b is 2"),
    (Kind.CODE_BLOCK, "Put the command into a box. Give it in a code block.", "```\nls\n```", "ls"),
    (Kind.INCLUDES, 'Write about spring. Include the word "blossom".', "Blossoms fall.", "Leaves fall."),
    (Kind.EXCLUDES, 'Describe dusk without using the word "red".', "A hired boat.", "A red boat."),
    (Kind.TIMES, 'Use the word "sea" at least twice.', "The sea, the sea!", "The sea!"),
    (Kind.UPPERCASE, "Use only uppercase letters.", "IT RAINS.", "It rains."),
    (Kind.LOWERCASE, "Write your entire answer in lowercase.", "it rains.", "It rains."),
    (Kind.STARTS_WITH, 'Begin your answer with "Dear all".', "**Dear all**, hello", "Hello, dear all"),
    (Kind.ENDS_WITH, "End your answer with 'Yours, Anna'.", "Bye.\nYours, Anna.", "Yours, Anna. Bye!"),
    (Kind.NO_COMMAS, "Describe a market. Do not use any commas.", "Stalls and bread.", "Stalls, bread."),
    (Kind.NO_DIGITS, "Tell the year without using any digits.", "Nineteen hundred.", "1900"),
    (Kind.QUOTED, "Wrap your entire response in double quotation marks.", '"It rains."', "It rains."),
    (Kind.TITLE, "Add a title in double angular brackets.", "<<Rain>>\nIt rains.", "Rain\nIt rains."),
    (Kind.POSTSCRIPT, "Add a postscript.", "Bye.\nP.S. Write soon.", "Bye. Write soon."),
    (Kind.YES_OR_NO, "Is 7 prime? Answer yes or no.", "Yes.", "It is prime."),
    (Kind.SCRIPT, "Answer in Greek.", "Βρέχει (rain).", "It rains."),
]


@pytest.mark.parametrize(("kind", "instruction", "keeps", "breaks"), KINDS, ids=lambda value: str(value)[:30])
def test_a_constraint_is_found_and_told_kept_from_broken(kind: Kind, instruction: str, keeps: str, breaks: str):
    found = constraints_of(instruction)
    assert [constraint.kind for constraint in found] == [kind]
    assert (broken(found, keeps), broken(found, breaks)) == ((), found)


def test_every_kind_is_tried():
    assert {kind for kind, *_ in KINDS} == set(Kind)


@pytest.mark.parametrize(
    "instruction",
    [
        "Why are tweets allowed only 280 characters, in at most two sentences?",
        "Explain why a haiku has three lines.",
        "Write a function that checks that a text has at most 100 words.",
        "Write a script that prints the result in JSON format.",
        "Explain the data types in JSON.",
        "Explain the rule 'use at most 10 words'.",
        "Explain why writers avoid the word 'very'.",
        "Explain how to write an abstract in at most 200 words.",
        "Describe three animals in two sentences each.",
        "Write a story. Then give it a title of three words.",
        "Write five words that rhyme with cat.",
        "List three causes of the war.",
        "Write the title in capital letters.",
        "A tweet may have at most 280 characters.",
    ],
)
def test_what_only_looks_like_a_constraint_is_left_to_a_judge(instruction: str):
    assert constraints_of(instruction) == ()


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("under fifty words", 0, 49),
        ("no more than 1,000 words", 0, 1000),
        ("more than 20 words", 21, None),
        ("between 60 and 100 words", 60, 100),
        ("80-100 words", 80, 100),
        ("about 50 words", 25, 100),
        ("500 words", 250, 1000),
        ("three words", 3, 3),
    ],
)
def test_the_bounds_are_those_that_are_stated(said: str, least: int, most: int | None):
    (found,) = constraints_of(f"Describe the sea in {said}.")
    assert (found.kind, found.least, found.most) == (Kind.WORDS, least, most)


def test_a_limit_that_the_answer_is_kept_to_may_be_stayed_below():
    (found,) = constraints_of("Describe the sea. Limit your answer to 30 words.")
    assert (found.least, found.most) == (0, 30)


def test_several_constraints_are_found_with_the_words_that_ask_for_them():
    found = constraints_of('Describe the sea in two sentences. Include the words "salt" and "foam". Use no commas.')
    assert [(c.kind.value, c.said, c.texts) for c in found] == [
        ("sentences", "in two sentences", ()),
        ("includes", 'Include the words "salt" and "foam"', ("salt", "foam")),
        ("no_commas", "Use no commas", ()),
    ]


def test_a_heading_is_no_paragraph_and_the_mark_of_a_list_item_ends_no_sentence():
    (paragraph,) = constraints_of("Write one paragraph about the fox.")
    (sentences,) = constraints_of("Explain rain in two sentences.")
    assert holds(paragraph, "The Clever Fox\n\nA fox met a raven. It sang.")
    assert holds(sentences, "1. It falls from clouds.\n2. It is wet.")


@pytest.mark.parametrize("pair", [pair for pair in PLANTED if pair["code"]], ids=lambda pair: pair["id"])
def test_every_planted_constraint_that_code_can_tell_is_found_ignored(pair: dict[str, str]):
    assert broken(constraints_of(pair["instruction"]), pair["answer"])


def test_no_good_planted_pair_is_said_to_break_a_constraint():
    good = [pair for pair in PLANTED if pair["label"] == "good"]
    assert [pair["id"] for pair in good if broken(constraints_of(pair["instruction"]), pair["answer"])] == []


@pytest.mark.parametrize("mark", ["⟦0⟧", "⟦7⟧", "\ufdd00\ufdd1", "\ufdd07\ufdd1"])
def test_marks_in_a_text_stand_for_nothing(mark: str):
    [constraint] = constraints_of(f'Explain {mark} to a child. Include the word "rain".')
    assert (constraint.kind, constraint.texts) == (Kind.INCLUDES, ("rain",))
    assert not constraints_of(f'Explain "rain" to a child. Include the word {mark}.')


MANY = "9" * 5_000


@pytest.mark.parametrize(
    ("instruction", "keeps"),
    [
        (f"Describe the sea in at most {MANY} words.", True),
        (f"Your answer should contain at least {MANY} words.", False),
        (f"Describe the sea in at most {'0' * 5_000}5 words.", True),
        (f'Use the word "sea" at most {MANY} times.', True),
        (f'Use the word "sea" at least {MANY} times.', False),
        (f"Highlight at least {MANY} words in your answer.", False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_number_of_thousands_of_digits_is_a_large_number(instruction: str, keeps: bool):
    found = constraints_of(instruction)
    assert len(found) == 1
    assert (broken(found, "The sea is blue.") == ()) is keeps


@pytest.mark.parametrize("answer", ['{"n": %s}', 'Here: {"n": %s}', "```json\n[%s]\n```"])
def test_json_may_hold_a_number_of_thousands_of_digits(answer: str):
    assert broken(constraints_of("Answer in JSON format."), answer % MANY) == ()
