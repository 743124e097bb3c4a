"""What a model thought is told from what it answered."""

from __future__ import annotations

import pytest

from teams_dagster.llm.reasoning import split_reasoning

THOUGHT = "The user wants a colour.\n\nGreen will do."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"<think>\n{THOUGHT}\n</think>\n\nGreen.", id="think (DeepSeek, Qwen)"),
        pytest.param(f"\n <think>{THOUGHT}</think>Green.", id="think, after blanks"),
        pytest.param(f"{THOUGHT}\n</think>\n\nGreen.", id="the template wrote the opening tag"),
        pytest.param(f"{THOUGHT}</think> Green.", id="the template wrote the opening tag, on one line"),
        pytest.param(f"<THINK>{THOUGHT}</THINK>Green.", id="capitals"),
        pytest.param(f"<thinking>{THOUGHT}</thinking>\nGreen.", id="thinking"),
        pytest.param(f"<thought>{THOUGHT}</thought>Green.", id="thought (Gemini)"),
        pytest.param(f"<reasoning>{THOUGHT}</reasoning>Green.", id="reasoning"),
        pytest.param(f"<scratchpad>{THOUGHT}</scratchpad>Green.", id="scratchpad"),
        pytest.param(f"<reflection>\n{THOUGHT}\n</reflection>\nGreen.", id="reflection"),
        pytest.param(f"{THOUGHT}\n</thinking>\n\nGreen.", id="the template wrote <thinking>"),
        pytest.param(f"{THOUGHT}</thought>\nGreen.", id="the template wrote <thought>"),
        pytest.param(f"{THOUGHT}</thinking>Green.", id="the template wrote <thinking>, on one line"),
        pytest.param(f"<thoughts>{THOUGHT}</thoughts>Green.", id="thoughts"),
        pytest.param(f"<thought id=1>{THOUGHT}</thought>Green.", id="a tag with an attribute"),
        pytest.param(f"<thinking>{THOUGHT}</thinking><output>Green.</output>", id="an output in tags"),
        pytest.param(f"<mm:think>{THOUGHT}</mm:think>Green.", id="MiniMax"),
        pytest.param(f"<unused94>thought\n{THOUGHT}<unused95>Green.", id="MedGemma"),
        pytest.param(f"<|inner_prefix|>{THOUGHT}<|inner_suffix|>Green.", id="Apertus"),
        pytest.param(f"commentary{THOUGHT}assistantfinalGreen.", id="commentary whose marks were left out"),
        pytest.param(f"assistantanalysis{THOUGHT}assistantfinalGreen.", id="a role whose marks were left out"),
        pytest.param(f"<think>{THOUGHT}</think>\n<answer>\nGreen.\n</answer>", id="an answer in tags (Hunyuan)"),
        pytest.param(f"<think>{THOUGHT}</think><response>Green.</response>", id="a response in tags (ERNIE)"),
        pytest.param(f"{THOUGHT}\n</think>\n<answer>Green.", id="an answer's tag that is not closed"),
        pytest.param(
            f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n<|begin_of_solution|>Green.<|end_of_solution|>",
            id="OpenThinker",
        ),
        pytest.param(
            f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>Green.<|END_RESPONSE|>", id="Command, whole"
        ),
        pytest.param(f"<seed:think>{THOUGHT}</seed:think>Green.", id="Seed"),
        pytest.param(f"Here is my thought process:\n{THOUGHT}\nHere is my response:\nGreen.", id="Granite"),
        pytest.param(
            f"Here are my reasoning steps:\n{THOUGHT}\n[BEGIN FINAL RESPONSE]\nGreen.\n[END FINAL RESPONSE]",
            id="Apriel",
        ),
        pytest.param(f"<think>{THOUGHT}</think>\n<|begin_of_box|>Green.<|end_of_box|>", id="GLM-V"),
        pytest.param(f"[THINK]{THOUGHT}[/THINK]Green.", id="Magistral"),
        pytest.param(f"◁think▷{THOUGHT}◁/think▷Green.", id="Kimi"),
        pytest.param(f"<|START_THINKING|>{THOUGHT}<|END_THINKING|>Green.", id="Command"),
        pytest.param(f"<|channel>thought\n{THOUGHT}<channel|>Green.", id="Gemma"),
        pytest.param(
            f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>Green.<|return|>",
            id="channels",
        ),
        pytest.param(
            f"{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>Green.", id="channels, the first is open"
        ),
        pytest.param(f"analysis{THOUGHT}assistantfinalGreen.", id="channels whose marks were left out"),
        pytest.param(f"<analysis>\n{THOUGHT}\n</analysis>\n\nGreen.", id="analysis"),
        pytest.param(f"<analysis>{THOUGHT}</analysis><answer>Green.</answer>", id="analysis and answer"),
        pytest.param(f"{THOUGHT}\n</analysis>\nGreen.", id="the template wrote <analysis>"),
        pytest.param(
            f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_TEXT|>Green.<|END_TEXT|>",
            id="Command, a text",
        ),
    ],
)
def test_the_thought_is_split_from_the_answer(text: str) -> None:
    thought, answer = split_reasoning(text)
    assert (thought, answer) == (THOUGHT, "Green.")


SPELLINGS = [
    *("<|think|>{}<|/think|>", "<|think|>{}</|think|>", "<|begin_of_thinking|>{}<|end_of_thinking|>"),
    *("<|think_start|>{}<|think_end|>", "<|reasoning|>{}<|/reasoning|>", "&lt;|think|&gt;{}&lt;|/think|&gt;"),
    *("<antThinking>{}</antThinking>", "<ant_thinking>{}</ant_thinking>", "<ant:thinking>{}</ant:thinking>"),
    *(
        "&lt;think&gt;\n{}\n&lt;/think&gt;\n\n",
        "&lt;thinking&gt;{}&lt;/thinking&gt;",
        "&#60;think&#62;{}&#60;/think&#62;",
    ),
    *("\\u003cthink\\u003e{}\\u003c/think\\u003e", "\\<think\\>{}\\</think\\>", "＜think＞{}＜/think＞"),
    *("< think >{}</ think >", "<think >{}< /think>", "< thinking >{}< / thinking >", "<\u200bthink>{}</think>"),
    *("**<think>**{}**</think>**", "*<think>*\n{}\n*</think>*\n", "**<thinking>**\n{}\n**</thinking>**\n\n"),
    *("[thinking]{}[/thinking]", "[think]\n{}\n[/think]\n", "{{{{think}}}}{}{{{{/think}}}}", "<<think>>{}<</think>>"),
    *('<think time="3">{}</think>', "<think>{}<\\think>", "<think>{}</thinking>", "<thinking>{}</think>"),
    *("<thought_process>{}</thought_process>", "<chain_of_thought>\n{}\n</chain_of_thought>\n", "<cot>{}</cot>"),
    *("<deep_think>{}</deep_think>", "<model_thinking>{}</model_thinking>", "<rationale>{}</rationale>"),
    *("```thinking\n{}\n```\n", "# <think>\n{}\n</think>\n", "\ufeff<think>{}</think>", '<p class="thinking">{}</p>'),
    *('<details type="reasoning">{}</details>', "<details type='reasoning' open>{}</details>\n"),
    *("<details>\n<summary>Thought for 12 seconds</summary>\n{}\n</details>\n",),
    *("{}&lt;/think&gt;", "{}\n**</think>**\n\n", "{}\n</antThinking>\n", "{}<|/think|>", "{}\n</ think >\n"),
    *("<thinking>\n{}\n</thinking>\n<thinking>\n</thinking>\n", "<think>{}</think><think></think>"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_marks_of_a_thought_are_known_however_they_are_spelt(spelling: str) -> None:
    assert split_reasoning(f"{spelling.format(THOUGHT)}Green.") == (THOUGHT, "Green.")


ELEMENTS = (
    "plan planning reason reflect denken Gedanken penser réflexion pensamiento ragionamento мысли 思考 생각".split()
)


@pytest.mark.parametrize("name", [*ELEMENTS, "inner_plan"])
def test_an_element_named_after_thinking_that_a_reply_begins_with_is_its_thought(name: str) -> None:
    assert split_reasoning(f"<{name}>\n{THOUGHT}\n</{name}>\n\nGreen.") == (THOUGHT, "Green.")


QUOTED = "\n".join(f"> {line}" for line in THOUGHT.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"Thinking...\n{THOUGHT}\n...done thinking.\n\nGreen.", id="Ollama"),
        pytest.param(f"> Thinking...\n{QUOTED}\n\nGreen.", id="quoted"),
        pytest.param(f"> **Thought for 5 seconds**\n>\n{QUOTED}\n\nGreen.", id="quoted, with its time"),
        pytest.param(f"> Reasoning\n{QUOTED}\n\nGreen.", id="quoted, under another title"),
        pytest.param(f"**My thought process:** {THOUGHT}\n\n**My answer:** Green.", id="labels of one's own"),
        pytest.param(f"**Thinking:** {THOUGHT} **Final answer:** Green.", id="labels"),
        pytest.param(f"## Thinking\n{THOUGHT}\n\n## Answer\nGreen.", id="headings"),
        pytest.param(f"Thought: {THOUGHT}\nFinal Answer: Green.", id="ReAct"),
        pytest.param(f"思考过程：{THOUGHT}\n最终答案：Green.", id="labels in Chinese"),
    ],
)
def test_thoughts_without_marks_are_told_by_how_they_are_announced(text: str) -> None:
    assert split_reasoning(text) == (THOUGHT, "Green.")


@pytest.mark.parametrize("talk", ["Sure!", "Okay.\n\n", "Let me think about this:", "Hmm,", "I'll work through it."])
@pytest.mark.parametrize("tag", ["reasoning", "thinking", "think", "scratchpad"])
@pytest.mark.parametrize("answer", ["Green.", " Green.", "\n\n<answer>Green.</answer>"])
def test_talk_before_a_thought_on_its_line_hides_none_of_it(talk: str, tag: str, answer: str) -> None:
    thought, left = split_reasoning(f"{talk} <{tag}>{THOUGHT}</{tag}>{answer}")
    assert THOUGHT in thought
    assert left.removeprefix(talk).strip() == "Green."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"<think>\n{THOUGHT}", id="think"),
        pytest.param(f"&lt;think&gt;\n{THOUGHT}", id="escaped"),
        pytest.param(f"**<think>**\n{THOUGHT}", id="bold"),
        pytest.param(f'<details type="reasoning">{THOUGHT}', id="folded away"),
        pytest.param(f"<|think|>{THOUGHT}", id="a special token"),
        pytest.param(f"<think>{THOUGHT}</think>\n", id="nothing after it"),
        pytest.param(f"<|channel|>analysis<|message|>{THOUGHT}", id="channels"),
        pytest.param(f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant", id="channels, closed"),
    ],
)
def test_thinking_that_reached_no_answer_leaves_none(text: str) -> None:
    assert split_reasoning(text) == (THOUGHT, "")


@pytest.mark.parametrize("opening", ["Okay!", "Sure, let me think about this.", "Hm ...\n"])
@pytest.mark.parametrize("tag", ["thinking", "think", "thought", "analysis", "scratchpad"])
def test_a_line_before_a_thought_on_lines_of_its_own_is_of_the_thought(opening: str, tag: str) -> None:
    text = f"{opening}\n<{tag}>\n{THOUGHT}\n</{tag}>\n\nGreen."
    assert split_reasoning(text) == (f"{opening.strip()}\n\n{THOUGHT}", "Green.")


@pytest.mark.parametrize(
    "text",
    ["<|START_RESPONSE|>Green.<|END_RESPONSE|>", "<|START_TEXT|>Green.<|END_TEXT|>", "<|START_TEXT|>\nGreen."],
)
def test_marks_around_all_of_an_answer_are_none_of_it(text: str) -> None:
    assert split_reasoning(text) == ("", "Green.")


@pytest.mark.parametrize(
    "text",
    [
        "Use this form:\n<thinking>\nwhy\n</thinking>\n<answer>\nwhat\n</answer>",
        "Use this form:\n<thinking>\nwhy\n</thinking>\nand then the answer.",
        "Reply as follows\n<thinking>\nwhy\n</thinking>\n<answer>\nwhat\n</answer>",
        "<analysis>\nSales rose.\n</analysis>\n<conclusion>\nBuy.\n</conclusion>",
        "Green.\n\nThe element:\n<thought>why</thought>",
        "In Cohere's form a text stands between `<|START_TEXT|>` and `<|END_TEXT|>`.",
        "First line.\nSecond line.\n<reflection>\nwhy\n</reflection>\nThird line.",
        "An <analysis> of the sales comes first, then a <conclusion>.",
        "Close it with </analysis>, then go on.",
    ],
)
def test_what_is_written_with_such_tags_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text) == ("", text)


def test_every_block_of_thought_is_taken_out() -> None:
    assert split_reasoning("<think>one</think>Red, <think>two</think>green.") == ("one\n\ntwo", "Red, green.")


def test_an_answer_that_breaks_off_into_thinking_is_none() -> None:
    assert split_reasoning("Red, or <think>is it green?") == ("Red, or <think>is it green?", "")


def test_an_empty_block_leaves_the_answer_alone() -> None:
    assert split_reasoning("<think>\n\n</think>\n\nGreen.") == ("", "Green.")


@pytest.mark.parametrize(
    "text",
    [
        "Green.",
        "  kept as it is \n",
        "",
        "Models such as R1 write `<think>` and `</think>` around what they think.",
        "Its format:\n\n```\n<think>\nwhy\n</think>\nanswer\n```\n",
        "Wrap it: `<reasoning>why</reasoning>`.",
        "Close the element with </reasoning>, then the next one.",
        "```xml\n</thinking>\n```",
        "<answer>Green.</answer>",
        "As XML: <step><reasoning>why</reasoning></step>",
        "analysis of variance compares means",
    ],
)
def test_an_answer_about_such_marks_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text) == ("", text)


def test_code_before_a_closing_mark_does_not_hide_it() -> None:
    assert split_reasoning("I would use `it`</think>\nGreen.") == ("I would use `it`", "Green.")


@pytest.mark.parametrize(
    "text",
    [
        "Qwen writes <think> and </think> around its thoughts. They are special.",
        "<think> is the tag that Qwen uses.",
        "<thinking> is one of the tags, and <reasoning> another.",
        "Wrap your reasoning in <think></think> tags.",
        "Put it in <think>...</think> tags, then answer.",
        "Use <think>your reasoning</think> before the answer.",
        'The model emits "<think>" first and "</think>" last.',
        'He asked "what is <think>?" and left.',
        "The thinking tags (<think> and </think>) are stripped.",
        "Strip everything before </think>.",
        "A reasoning model ends its thoughts with </think> and then answers.",
        "HTML: <code>&lt;think&gt;</code> and <code>&lt;/think&gt;</code>.",
        "<p>Use &lt;think&gt; and &lt;/think&gt; around it.</p>",
        "&lt;div&gt; is a tag, and so is &lt;think&gt;, which models write.",
        "The special token <|think|> starts it, and <|/think|> ends it.",
        "1. <think>: opening\n2. </think>: closing",
        "| tag | meaning |\n|---|---|\n| <think> | opens |\n| </think> | closes |",
        "re.sub(r'<think>.*?</think>', '', text)",
        "s = '<think>' + t + '</think>'",
        "The regex <think>(.*?)</think> matches it.",
        "<root>\n  <think>why</think>\n  <say>what</say>\n</root>",
        "<rationale>Sales rose.</rationale>\n<conclusion>Buy.</conclusion>",
        "Sure! Here is the XML:\n<step><reasoning>why</reasoning></step>",
        "Of course! Use <reflection> for the diary and <note> for the rest.",
        "<details><summary>Click for more</summary>The rest of the recipe.</details>\nDone.",
        'Open WebUI uses `<details type="reasoning">` for it.',
        "I [think] that he is right, and [reasoning] is a label.",
        "\\emph{think} about it, with {think} as the placeholder.",
        "x < think > y holds if think is larger",
        "A thought ends with </thinking>, which the template writes.",
    ],
)
def test_marks_that_a_sentence_speaks_of_are_of_the_answer(text: str) -> None:
    assert split_reasoning(text) == ("", text)
