"""A refusal is told by how it begins and by what follows, in seventeen languages; an answer with its words is none."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.elimination import Rule, eliminate_answer
from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path

SAID = tomllib.loads((Path(__file__).parent / "refusals.toml").read_text(encoding="utf-8"))
KEPT: list[str] = SAID.pop("answers")["kept"]
LANGUAGES = sorted(SAID)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_is_no_answer(language: str) -> None:
    declined = SAID[language]["declined"]
    assert len(declined) >= 12
    assert [said for said in declined if eliminate_answer(said) is not Rule.SHORT_APOLOGY] == []


def test_an_answer_in_the_words_of_a_refusal_is_kept() -> None:
    assert [said for said in KEPT if eliminate_answer(said) is not None] == []


@pytest.mark.parametrize(
    "content",
    [
        "Here is what I know: the bridge has 12 arches.",
        "\n1. Boil water.\n2. Add tea.",
        "\n- tea\n- water",
        "\n```python\nprint(1)\n```",
        "However, the bridge was built in 1890. It is made of steel. It has three towers.",
    ],
    ids=["announced", "numbered", "items", "code", "sentences"],
)
def test_content_after_an_apology_makes_an_answer(content: str) -> None:
    said = "I'm sorry, but I can't open the link."
    assert eliminate_answer(said) is Rule.SHORT_APOLOGY
    assert eliminate_answer(f"{said} {content}") is None


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Translate into French: I cannot help you.", "Je ne peux pas vous aider."),
        ("Write an SMS that declines an invitation.", "I'm sorry, I can't do that on Friday."),
        ("Übersetze ins Englische: Das kann ich nicht beantworten.", "I can't answer that."),
        ("Schreibe eine kurze Absage.", "Leider kann ich Ihnen dabei nicht helfen."),
        ("How does an assistant apologise in Spanish?", "Lo siento, no puedo ayudarte."),
        ("把这句话翻译成中文：I can't answer this.", "我无法回答这个问题。"),
        ("写一封婉拒邀请的邮件。", "对不起，我不能答应。"),
        ("欠席のお詫びのメールを書いてください。", "申し訳ありませんが、対応できません。"),
        ("Écris un mot d'excuse.", "Je suis désolé, je ne peux pas vous aider."),
        ('Rephrase "I can\'t help you with this" in a polite way.', "I'm sorry, but I am unable to help you."),
        ("请把“I'm sorry, I can't do that.”译为中文。", "对不起，我不能那样做。"),
        ("“I'm sorry, I can't” 用中文怎么说？", "对不起，我不能。"),
        ("中译：Sorry, I don't know.", "抱歉，我不知道。"),
        ("「I'm sorry, I can't」を日本語にしてください。", "申し訳ありませんが、できません。"),
        ("英文「I cannot help you」の和訳を書いて。", "お手伝いできません。"),
        ("会議を欠席するお詫びの手紙を書いて。", "大変申し訳ございませんが、会議に出席できません。"),
        ("「I'm sorry, I can't」は日本語で何と言いますか。", "すみません、できません。"),
        ("Traduce: \"I'm sorry, I can't help you\"", "Lo siento, no puedo ayudarte."),
        ("Pon en español: I'm sorry, I can't.", "Lo siento, no puedo."),
        ("¿Qué significa \"I'm sorry, I can't\"?", "Lo siento, no puedo."),
        ("Redacta una disculpa.", "Lo siento, no puedo ir."),
        ("What is the Spanish for \"I'm sorry, I can't help you\"?", "Lo siento, no puedo ayudarte."),
        ("Complete HAL's line: I'm sorry, Dave ...", "I'm sorry, Dave. I'm afraid I can't do that."),
        ("Give the Japanese for: Sorry, I can't answer that.", "申し訳ありませんが、お答えできません。"),
        ("Traduis en français : I can't help you.", "Je ne peux pas vous aider."),
        ("Wie heißt 'I'm sorry, I can't come' auf Deutsch?", "Es tut mir leid, ich kann nicht kommen."),
        ("用日语说“对不起，我帮不了你”。", "申し訳ありませんが、お手伝いできません。"),
        ("写一条短信，告诉朋友今晚不能来。", "对不起，今晚我不能来了。"),
        ("友達の誘いを断る一言を。", "ごめん、今日は行けません。"),
        ("Escribe un correo para decir que no puedo asistir.", "Lo siento, no puedo asistir a la reunión."),
    ],
)
def test_a_refusal_that_was_asked_for_is_an_answer(asked: str, answer: str) -> None:
    assert eliminate_answer(answer) is Rule.SHORT_APOLOGY
    assert eliminate_answer(answer, Instruction(asked)) is None
    assert eliminate_answer(answer, Instruction("How tall is the tower?")) is Rule.SHORT_APOLOGY


@pytest.mark.parametrize(
    "asked",
    [
        "Briefly discuss tides.",
        "Which letter comes first?",
        "Explain why fish can't fly.",
        "Translate this menu: pão.",
        "Write a brief history of Rome.",
        "Keep your answer brief. What is DNA?",
        "How do I reject a null hypothesis?",
        "Write a text about the decline of the Roman empire.",
        "Write a short text about whales.",
        "Summarise the message of Animal Farm.",
        "Write a function that rejects negative numbers.",
        "Draft an email to my landlord.",
        "请判断下面的句子是否正确。",
        "请写一段话，说明如何提高自信心。",
        "Quel est le message principal de ce film ?",
        "¿Qué es una disculpa fiscal?",
        'Explain why he said "never".',
        "次の問題を解いてください：2+2",
        "把下面的句子翻译成中文：The sky is blue.",
        "Traduce al español: The sky is blue.",
        "Write a letter to my landlord about the heating.",
    ],
)
@pytest.mark.parametrize("said", ["I'm sorry, but I can't help with that.", "对不起，我无法回答这个问题。"])
def test_an_instruction_that_asks_for_no_such_words_excuses_no_refusal(asked: str, said: str) -> None:
    assert eliminate_answer(said, Instruction(asked)) is Rule.SHORT_APOLOGY


def test_of_the_shipped_seeds_only_those_are_excused_that_ask_for_an_apology_or_a_refusal() -> None:
    seeds = load_seeds(shipped_seeds_path()).seeds
    excused = [
        seed.instruction.text for seed in seeds if eliminate_answer("Sorry, I can't do that.", seed.instruction) is None
    ]
    assert excused == [
        "Write an apology to a neighbour whose parcel I opened by mistake.",
        "Help me word a polite refusal to a wedding invitation abroad that I cannot afford.",
    ]
