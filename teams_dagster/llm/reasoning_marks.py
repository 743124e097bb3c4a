"""How the marks of a thought are spelt: escaped, spaced, in other brackets, emphasised, as a folded part of a page.

Each spelling becomes the plain mark that `reasoning` knows. What is a mark, and what only speaks of one, is told there.
"""

from __future__ import annotations

import re

WORDS = (
    *("thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "analysis", "rationale"),
    *("thinking_process", "thought_process", "inner_thoughts", "inner_monologue", "internal_monologue"),
    *("internal_thoughts", "chain_of_thought", "cot", "monologue"),
)
"""Tags that are also plain XML: they mark a thought where the text begins with one, or where there is a
closing one that nothing opens, unless a sentence speaks of it."""

_THINKS_SOMEWHERE = (
    r"plan(?:ning|o|ung)?|reason(?:s|ing)?|reflect(?:ion)?|thoughts?|internal|deliberat\w*|brainstorm\w*|(?:nach)?denk\w*|gedank\w*|überleg\w*|grübel\w*"
    r"|penser|pensées?|réfl[eé]\w*|raisonn\w*|pens(?:ar|ando|amientos?|amentos?|ieri?o?|are)|razon\w*|reflexi\w*"
    r"|raciocín\w*|riflession\w*|ragiona\w*|nadenk\w*|redenering|tänk\w*|resonemang|myśl\w*|rozumowanie|düşün\w*"
    r"|мысл\w*|размышлен\w*|рассужден\w*|думаю|роздум\w*|suy[ _]?nghĩ|pemikiran|berpikir|思考\w*|推理\w*|思索"
    r"|考え\w*|推論\w*|생각\w*|추론\w*|사고|تفكير|विचार|सोच"
)
"""Words for thinking: a tag of one is plain XML, but where a reply begins with it and an answer follows it."""

_FIRST_ELEMENT = re.compile(
    rf"\A(?P<before>\s*)<(?P<tag>(?:\w+[_-])?(?:{_THINKS_SOMEWHERE})(?:[_-]\w+)?)>(?P<thought>.*?)</(?P=tag)>"
    r"(?=\s*(?:[^\s<]|<(?:answer|response|output)>))",
    re.IGNORECASE | re.DOTALL,
)

_ONLY_MARKS = r"think|ant[_-]?thinking|\w{1,12}:think(?:ing)?"
"""Names that stand for nothing else."""

_ATTRIBUTES = r"(?:\s+[\w-]+\s*=[^<>]{0,200}?)?"

_GAP = r"[\s\u200b-\u200f\u2060\ufeff]{0,3}"

_LEFT, _RIGHT = r"(?:\\?<|&lt;|&\#0*60;|&\#x0*3c;|\\u003c|[＜‹〈])", r"(?:\\?>|&gt;|&\#0*62;|&\#x0*3e;|\\u003e|[＞›〉])"

_NAME = (
    rf"(?P<name>{_ONLY_MARKS}|{'|'.join(sorted(WORDS, key=len, reverse=True))}"
    r"|(?P<longer>(?:[a-z]{1,12}[_-])?(?:think(?:ing)?|thoughts?|reasoning)(?:[_-][a-z]{1,12})?))"
)

_TAG = re.compile(
    rf"{_LEFT}{{1,2}}{_GAP}(?P<slash>(?:\\?/|\\)?){_GAP}{_NAME}(?P<rest>{_ATTRIBUTES}){_GAP}{_RIGHT}{{1,2}}",
    re.IGNORECASE,
)

_TOKEN = re.compile(
    r"(?:<|&lt;)[|｜]{1,2}(?:(?P<end>/|end[_▁]?(?:of[_▁])?)|(?:begin|start)[_▁](?:of[_▁])?)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?)(?P<end_after>[_▁]end)?(?:[_▁](?:start|begin))?[|｜]{1,2}(?:>|&gt;)"
    r"|<(?P<before>/)[|｜](?:think(?:ing)?|thoughts?|reasoning)[|｜]>",
    re.IGNORECASE,
)
"""Special tokens: `<|think|>`, `<|/think|>`, `<|end_of_thinking|>`, `<|reasoning_end|>`."""

_BRACKETED = re.compile(rf"[\[({{]{{1,2}}(?P<slash>/?)(?P<name>think|{'|'.join(WORDS)})[\])}}]{{1,2}}", re.IGNORECASE)

_FOLDED = re.compile(
    r"<details\b(?=[^<>]*\btype\s*=\s*[\"']?(?:reasoning|thinking|thought)\b)[^<>]*>(?P<typed>.*?)(?:</details>|\Z)"
    r"|\A\s*<details\b[^<>]*>\s*<summary>[^<>\w]*(?:(?:my|the|model'?s?|show|view|toggle|internal)\s+){0,2}"
    r"(?:thinking|thoughts?|reasoning|chain[ -]of[ -]thought)(?:\s+(?:process|trace|steps?))?"
    r"(?:\s+(?:for|in)\s+[^<>]{1,30}|\s*\([^<>]{0,40}\))?[^<>\w?]*</summary>(?P<titled>.*?)(?:</details>|\Z)"
    r"|\A\s*<(?P<part>div|section|blockquote|span|p)\b[^<>]*\bclass\s*=\s*[\"']?(?:think|thinking|reasoning"
    r"|(?:thinking|thought|reasoning)[_-](?:process|content|block|text|trace|steps?)|model[_-]thinking)[\"'\s>](?<=[^<>])"
    r"[^<>]*>?(?P<classed>.*?)</(?P=part)>(?=\s*[^\s<])",
    re.IGNORECASE | re.DOTALL,
)
"""A part of a page that is folded away, as chat front ends keep thoughts. What tags follow is the page that was asked
for."""

_FENCED = re.compile(
    r"\A\s*```(?:think|thinking|thought|reasoning)[ \t]*\n(?P<thought>.*?)\n```[ \t]*(?:\n|\Z)", re.DOTALL
)

_EMPHASISED = re.compile(
    rf"(?P<around>\*{{1,3}}|_{{1,3}})(?P<mark><(?P<slash>/?)(?:think|{'|'.join(WORDS)})>)(?P=around)", re.IGNORECASE
)

_COMPONENT = re.compile(
    r"(?P<in_code>(?:=>?|[({?&]|\breturn)\s*)?<(?P<name>[A-Z][a-z]\w*)(?P<set>\s+\w+=[\"'{][^<>]*)?/?>"
)
"""`<Think mode="deep">` in a program is no mark, and neither is `return <Think>`."""

_ANY = re.compile(r"think|thought|reason|reflection|scratchpad|analysis|rationale|monologue|cot\b", re.IGNORECASE)

_SIGNS = ("<", "&", "\\", "＜", "‹", "〈", "```", "[/", "(/", "{/")
"""Every spelling of a mark has one of these, and few other texts do: looked for first, since each reply is read."""


def plainly_marked(text: str) -> str:
    """`text` with each mark of a thought, however it is spelt, as `<think>` or a tag of `WORDS`; itself without any."""
    if not any(sign in text for sign in _SIGNS):
        return text
    text = _FIRST_ELEMENT.sub(r"\g<before><think>\g<thought></think>", text)
    if _ANY.search(text) is None:
        return text
    plain = _FENCED.sub(lambda found: f"<think>\n{found['thought']}\n</think>\n", text)
    plain = _FOLDED.sub(
        lambda found: f"<think>{found['typed'] or found['titled'] or found['classed'] or ''}</think>", plain
    )
    plain = _TOKEN.sub(_of_token, plain)
    components = {found["name"] for found in _COMPONENT.finditer(text) if found["set"] or found["in_code"]}
    plain = _TAG.sub(lambda found: found[0] if found["name"] in components else _of_tag(found), plain)
    plain = _without_emphasis(_without_brackets(plain))
    if "<think>" in plain and "</think>" not in plain and "<thinking>" not in plain:
        return plain.replace("</thinking>", "</think>")
    return plain


def _of_token(found: re.Match[str]) -> str:
    return "</think>" if found["end"] or found["end_after"] or found["before"] else "<think>"


def _of_tag(found: re.Match[str]) -> str:
    name = "thinking" if found["longer"] else found["name"].lower()
    if name not in WORDS:
        return "</think>" if found["slash"] else "<think>"
    return f"</{name}>" if found["slash"] else f"<{name}{found['rest']}>"


def _without_brackets(text: str) -> str:
    """Other brackets are marks where a pair of them is: `[thinking]` and `[/thinking]`."""
    closed = {found["name"].lower() for found in _BRACKETED.finditer(text) if found["slash"]}
    if not closed:
        return text
    return _BRACKETED.sub(
        lambda found: f"<{found['slash']}{found['name'].lower()}>" if found["name"].lower() in closed else found[0],
        text,
    )


def _without_emphasis(text: str) -> str:
    """Marks are bold where the opening one is, or where one has its line; otherwise the words around a mark may be."""
    opened = any(not found["slash"] for found in _EMPHASISED.finditer(text))
    return _EMPHASISED.sub(
        lambda found: (
            found["mark"] if opened or text[max(0, found.start() - 1) : found.start()].isspace() else found[0]
        ),
        text,
    )
