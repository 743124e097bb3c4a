import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Outcome
from teams_dagster.instructions.elimination import (
    Rule,
    eliminate_answer,
    eliminate_outcome,
    eliminate_rewrite,
    is_meaningless,
)

SEED = Instruction("Explain how tides work.")


def test_a_usable_completion_breaks_no_rule_and_every_other_outcome_breaks_one():
    assert eliminate_outcome(Outcome.USABLE) is None
    assert all(eliminate_outcome(outcome) for outcome in Outcome if outcome is not Outcome.USABLE)


def test_an_honest_rewrite_passes():
    edit = Instruction("Explain how tides work, and why some coasts have only one high tide a day.")
    assert eliminate_rewrite(edit, [SEED]) is None


@pytest.mark.parametrize("text", ["", "  \n ", "...", "and the of"])
def test_an_empty_or_meaningless_rewrite_is_eliminated(text: str):
    assert eliminate_rewrite(Instruction(text), [SEED]) in (Rule.EMPTY, Rule.MEANINGLESS)


@pytest.mark.parametrize("said", ["I'm sorry, but I can't help with that.", "抱歉，我无法改写给定的指令。"])
def test_a_rewrite_that_declines_is_eliminated_unless_its_parent_was_like_that(said: str):
    assert eliminate_rewrite(Instruction(said), [SEED]) is Rule.SHORT_APOLOGY
    assert eliminate_rewrite(Instruction(said), [Instruction("Sorry, I can't open the door.")]) is None
    assert eliminate_rewrite(Instruction(f"Translate into French: {said}"), [SEED]) is None


@pytest.mark.parametrize(
    "leak", ["#Rewritten Prompt#: Explain tides", "The given prompt asks for tides", "</instruction>"]
)
def test_words_of_the_prompt_are_a_leak(leak: str):
    assert eliminate_rewrite(Instruction(f"{leak} in detail"), [SEED]) is Rule.LEAKED_PROMPT_WORDS


def test_words_that_the_parent_had_are_not_leaked():
    parent = Instruction("Improve the given prompt for an image model.")
    edit = Instruction("Improve the given prompt for an image model in three different styles.")
    assert eliminate_rewrite(edit, [parent]) is None


def test_a_rewrite_that_returns_to_an_earlier_text_of_its_chain_is_eliminated():
    parent = Instruction("Explain how tides work, with one example.")
    assert eliminate_rewrite(Instruction("explain how tides work!"), [SEED, parent]) is Rule.RETURNED


def test_a_changed_input_alone_is_not_a_return():
    parent = Instruction("Sum the column.", "1\n2")
    assert eliminate_rewrite(Instruction("Sum the column.", "day,units\nMon,3\nTue,4"), [parent]) is None


def test_a_short_apology_is_no_answer_and_a_long_text_that_says_sorry_is():
    assert eliminate_answer("Sorry, I cannot know today's weather.") is Rule.SHORT_APOLOGY
    assert eliminate_answer("Sorry to hear that. " + "Here is a full answer. " * 20) is None


@pytest.mark.parametrize(
    "answer",
    [
        "A",
        "(A)",
        "a.",
        "I",
        "A, I",
        "A and I",
        "A\n\nI",
        "He, she",
        "It is",
        "It is.",
        "To be, or not to be",
        "He is in",
        "Not in it",
        "Is it?",
        "There are.",
        "He",
        "It",
        "B",
        "No",
        "∞",
        "√2",
        "→",
        "👍",
        "✊🏽",
        "Ω",
        "<",
        "+",
    ],
)
def test_a_word_or_a_sign_alone_is_an_answer(answer: str):
    assert eliminate_answer(answer) is None


SIGNS_THAT_ANSWER = (
    *"== != === !== <= >= && || ! | ^ ~ -> => :: := ++ -- ** // % # @ $ & * - / \\ [] {} () <>".split(),
    *"\"\" '' ; : {}; >>> § ¶ † ‰ ′ ¿ ∅ ∞ √ ≠ € ½ 3/4 1:2 (()()) {[()]} </> <? ?. ~/ ../ *args #!".split(),
    *("`.`", '"?"', "“,”", "'!'", "「。」", "`...`", "$-$", "**%**", "The `-`", "`,` and `;`", "(%)", "Is it ||?"),
    *("== and !=", "[[], {}]", "+, -, *, /", "&& ||", "{ }", "```\n[]\n```", "```python\n{}\n```"),
)


@pytest.mark.parametrize("answer", SIGNS_THAT_ANSWER)
def test_an_operator_or_another_sign_is_an_answer(answer: str):
    assert eliminate_answer(answer) is None


MARKS_OF_LAYOUT = (
    *". , ? ?! … 。 ！ (...) […] <...> ---- ==== ### *** ___ ~~~ ||| +---+---+ |---|---| • — · ── ═══ ' \" `".split(),
    *("- - -", "-\n-\n-", "| :-- | --: |", '"..."', "“”…", "```\n\n```", "> .", "# .", "- [ ]", "?\n!", ". . ."),
    *("\u200b", "\u2800"),
)


@pytest.mark.parametrize("answer", MARKS_OF_LAYOUT)
def test_signs_that_end_sentences_or_lay_out_a_page_are_no_answer(answer: str):
    assert eliminate_answer(answer) is Rule.MEANINGLESS


@pytest.mark.parametrize(
    ("asked", "mark"),
    [
        ("Which punctuation mark ends a question?", "?"),
        ("Which sign sets a parenthesis off from its sentence?", "—"),
        ("Welches Satzzeichen beendet einen Satz?", "."),
        ("疑问句末尾用什么标点？", "？"),
    ],
)
def test_a_mark_of_a_sentence_answers_where_a_mark_is_asked_for_and_nowhere_else(asked: str, mark: str):
    assert eliminate_answer(mark, Instruction(asked)) is None
    assert eliminate_answer(mark, Instruction("How tall is the tower?")) is Rule.MEANINGLESS
    assert eliminate_answer(mark) is Rule.MEANINGLESS


ASKED_FOR_BY_USE = (
    ("Write SOS in Morse code.", "... --- ..."),
    ("Translate 'hello' into Morse code.", ".... . .-.. .-.. ---"),
    ("What is E in Morse?", "."),
    ("What is T in Morse?", "-"),
    ("Write 'see' in Morse code", "... . ."),
    ("Which key separates items in a Python list?", ","),
    ("What do you type to go to the parent directory?", ".."),
    ("What separates the cells of a CSV file?", ","),
    ("What is the current directory called in a path?", "."),
    ("Which delimiter does a TSV row of Markdown use?", "|"),
    ("Which character starts a comment in Lisp?", ";"),
    ("What separates a decimal fraction in English?", "."),
    ("Which separator do Germans use for decimals?", ","),
    ("How is range written in Rust?", ".."),
    ("What does JavaScript use for spread?", "..."),
    ("Which regex matches any character?", "."),
    ("What stands before the last item of a list in British English?", ","),
    ("Complete: 3 __ 4 = 7 (+ or -)", "+"),
    ("What ends a statement in Prolog?", "."),
    ("What is used for a pipe in bash?", "|"),
    ("Which bracket?", "["),
    ("What do you put at the end of a question?", "?"),
    ("How do you mark an omission?", "…"),
    ("What goes between the clauses: I came _ I saw?", ","),
    ("Fill in the blank with the right mark: How are you_", "?"),
    ("Which quote does JSON use?", '"'),
    ("Which delimiter quotes commands in shell?", "`"),
    ("What's Morse for 5?", "....."),
    ("Wie trennt man Dezimalstellen im Deutschen?", ","),
    ("Quel séparateur décimal utilise-t-on en France ?", ","),
    ("Write zero in Morse.", "-----"),
    ("Encode 'OK' in Morse code using · and –", "––– –·–"),
    ("morse for 'a b'", ".- / -..."),
)


@pytest.mark.parametrize(("asked", "answer"), ASKED_FOR_BY_USE)
def test_a_mark_or_morse_code_answers_where_its_use_is_asked_for(asked: str, answer: str) -> None:
    assert eliminate_answer(answer, Instruction(asked)) is None


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("How tall is the tower?", ".... ---"),
        ("Write a poem.", "..."),
        ("Explain the history of Morse code.", "... --- ..."),
        ("Who is he?", ","),
        ("Summarise the text.", "---"),
    ],
)
def test_marks_that_nobody_asked_for_are_no_answer(asked: str, answer: str) -> None:
    assert eliminate_answer(answer, Instruction(asked)) is Rule.MEANINGLESS


@pytest.mark.parametrize(
    "answer",
    ["...", "---", "and of the", "is the", "it was a", "in the", "* * *", "```\n```", "| | |", "────", "⁂ — !"],
)
def test_signs_of_layout_and_several_stop_words_are_no_answer(answer: str):
    assert eliminate_answer(answer) is Rule.MEANINGLESS


def test_a_stop_word_alone_is_no_instruction():
    assert eliminate_rewrite(Instruction("He"), [SEED]) is Rule.MEANINGLESS


REFUSALS = {
    "English": (
        "I cannot help with that.",
        "I'm unable to assist with this request.",
        "As an AI language model, I cannot do it.",
        "I apologize, but I cannot.",
        "I’m not able to answer that.",
    ),
    "Chinese": (
        "抱歉，我无法回答这个问题。",
        "对不起，我不能提供帮助。",
        "很抱歉，無法協助。",
        "我无法提供这类信息。",
        "作为一个人工智能，我无法完成此请求。",
        "很遗憾，我没有办法回答。",
    ),
    "Japanese": (
        "申し訳ありませんが、お答えできません。",
        "すみません、わかりません。",
        "ごめんなさい。",
        "その質問にはお答えできません。",
        "その質問には回答できません。",
    ),
    "Spanish": (
        "Lo siento, pero no puedo ayudar con eso.",
        "Lamento no poder ayudarte.",
        "No puedo ayudarte con eso.",
        "No puedo cumplir.",
    ),
    "German": (
        "Es tut mir leid, das kann ich nicht.",
        "Entschuldigung, das weiß ich nicht.",
        "Dabei kann ich leider nicht helfen.",
        "Ich bin nicht in der Lage, das zu beantworten.",
        "Ich kann Ihnen dabei nicht helfen.",
    ),
    "French": (
        "Je suis désolée, mais je ne peux pas.",
        "Désolé.",
        "Malheureusement, je ne peux pas vous aider.",
        "Je ne suis pas en mesure de répondre.",
    ),
}


@pytest.mark.parametrize("language", REFUSALS)
def test_a_short_apology_or_refusal_is_no_answer_in_these_languages(language: str):
    assert {eliminate_answer(said) for said in REFUSALS[language]} == {Rule.SHORT_APOLOGY}


def test_a_long_answer_that_says_sorry_is_one_in_scripts_without_spaces_too():
    assert eliminate_answer("很抱歉听到这个消息。" + "潮汐是由月球和太阳的引力引起的海水周期性涨落现象。" * 10) is None


@pytest.mark.parametrize(
    "answer",
    [
        "东京是日本的首都。",
        "I cannot overstate how tall it is.",
        "The door cannot help itself.",
        "You are unable to answer where no bell rings.",
        "植物没有办法移动。",
        "Ich bin in der Lage, das zu tragen.",
        "水は摂氏百度で沸騰します。",
        "El siglo XX fue muy largo.",
        "Das Leid der Welt ist groß.",
        "Le désert est vaste.",
        "Wir können nicht nur rechnen, sondern auch schreiben.",
    ],
)
def test_a_short_answer_in_these_languages_is_no_apology(answer: str):
    assert eliminate_answer(answer) is None


@pytest.mark.parametrize(
    "answer", ["Name a river of the north.", "name a river of the north", "**Name a river** of the north"]
)
def test_an_instruction_said_again_is_no_answer(answer: str):
    assert eliminate_answer(answer, Instruction("Name a river of the north.")) is Rule.RETURNED


def test_an_instruction_said_again_with_its_input_is_no_answer():
    asked = Instruction("Translate into German.", "The river is wide.")
    assert eliminate_answer("Translate into German.\nThe river is wide.", asked) is Rule.RETURNED


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (Instruction("Hello there!"), "Hello there!"),
        (Instruction("Correct the spelling.", "The river is wide."), "The river is wide."),
        (Instruction("Name a river of the north."), "A river of the north is the Torne."),
        (Instruction("Repeat: the river is wide."), "The river is wide."),
    ],
)
def test_a_greeting_returned_and_an_input_that_is_right_are_answers(asked: Instruction, answer: str):
    assert eliminate_answer(answer, asked) is None


def test_numbers_and_code_have_meaning():
    assert not is_meaningless("42")
    assert not is_meaningless("x = y[0]")
