"""Replies that are no answers though each alone could be: a few texts for everything, and the prompt said back.

Labels, choices and numbers are legitimately the same for many queries, so they are told apart from the queries' words.
"""

from __future__ import annotations

import re

from teams_dagster.core.protocol import Purpose, Request

_FEW_WORDS = 4
"""A label or a choice has no more."""

_NO_LABELS = frozenset(
    "ok|okay|sure|hello|hi|hey|hello there|hi there|done|understood|got it|of course|certainly|thanks|thank you|welcome"
    "|yes sir|error|internal error|null|none|n/a|undefined|nan|test|foo|bar|lorem ipsum|as requested|here you go"
    "|no response|no answer|i see|great|thank you very much|how can i help|how can i help you".split("|")
)
"""What is said in the place of an answer, and labels nothing."""

_CHOICES = re.compile(
    r"(?:yes|no|true|false|correct|incorrect|right|wrong|both|neither|[a-h]|[\W\d]+|oui|non|ja|nein|si|sí|是|否|对|错"
    r"|はい|いいえ)",
    re.IGNORECASE,
)
"""Answers to any closed question."""

_ASKS_FOR_A_LABEL = re.compile(
    r"classif|categor|\blabel|sentiment|polarity|\b(?:true|yes|no)\b|\bchoose|\bpick\b|\bselect|\bwhich\b"
    r"|whether|\boptions?\b|determine|\bdetect|identif|\btags?\b|entail|contradict|assign|annotat|\bsort\b"
    r"|\bjudge\b|spam|\btone\b|emotion|\bgenre\b|part of speech"
    r"|\A\s*(?:is|are|does|do|did|was|were|can|has|have|will)\b|klassifi|clasifi|分类|分類|判断|判斷|是否|情感|选择|選擇|标签",
    re.IGNORECASE,
)

_ASKS_BRIEFLY = re.compile(
    r"\b(?:who|whose|whom|what|when|where|name|how (?:many|much|old|long|far|tall)|fill in|complete|translate|capital"
    r"|solve|calculate|compute|convert|extract|answer)\b|谁|什么|哪|多少|翻译|计算|誰|何|どこ|いつ",
    re.IGNORECASE,
)

_OFTEN_DECLINED = re.compile(
    r"\b(?:"
    r"kill|murder|suicid|self-harm|bomb|explosi|weapon|firearm|\bgun\b|poison|drug|cocaine|meth\b|heroin"
    r"|hack|exploit|malware|virus|ransom|phish|keylog|crack|pirat|steal|theft|shoplift|launder|fraud|scam"
    r"|counterfeit|forge|bribe|blackmail|stalk|harass|bully|racis|sexis|sexual|porn|nude|erotic|nazi|terror"
    r"|genocid|tortur|rape|abus|assault|attack|hate|slur|insult|violen|illegal|bypass|jailbreak|password"
    r"|credit card|social security|dox|home address|phone number|lyrics|copyright|weather|stock price"
    r"|latest news|real[ -]time|image|picture|photo|diagnos|medical advice|legal advice"
    r"|personal information|dosage|bioweapon|nerve agent|anthrax|spy\b|surveil|evade|undetect"
    r")",
    re.IGNORECASE,
)
"""Subjects that models decline, and stand together in many a file of seeds."""

_SAID_BACK = re.compile(r"(?:you (?:said|asked|wrote)|i heard|echo|user|human|input|prompt|received)\W{0,3}")
"""What may stand before a prompt that is said back."""


def could_be_a_label(request: Request, text: str) -> bool:
    """Whether an answer may be one of a closed set, and so the same to many queries: a label, a choice, a number."""
    said = plainly(text)
    if request.intent.purpose is not Purpose.RESPOND or len(said.split()) > _FEW_WORDS or said in _NO_LABELS:
        return False
    if _CHOICES.fullmatch(said) is not None:
        return True
    asked = _asked(request)
    return _ASKS_FOR_A_LABEL.search(asked) is not None or f" {_words_of(said)} " in f" {_words_of(asked)} "


def could_be_brief(request: Request, text: str) -> bool:
    """Whether an answer of a few words may be what was asked for, and so one of few: a name, a place."""
    said = plainly(text)
    brief = len(said.split()) <= _FEW_WORDS and said not in _NO_LABELS
    return brief and request.intent.purpose is Purpose.RESPOND and _ASKS_BRIEFLY.search(_asked(request)) is not None


def is_echo(request: Request, text: str) -> bool:
    """Whether a reply says no more than its prompt, or the instruction that this is about."""
    said = plainly(text)
    prompts = {plainly(_asked(request)), plainly(request.intent.before.text), plainly(request.messages[-1].content)}
    lead = _SAID_BACK.match(said)
    forms = {said, said if lead is None else said[lead.end() :]}
    return bool(said) and not forms.isdisjoint(prompts)


def may_well_be_declined(request: Request) -> bool:
    """Whether an instruction is about what models decline: then its refusal says nothing of the model."""
    return _OFTEN_DECLINED.search(_asked(request)) is not None


def plainly(text: str) -> str:
    """Equal for texts that differ in nothing but case, spaces and the signs around them."""
    return " ".join(text.casefold().split()).strip(".!?\u3002 \"'*`")


def _asked(request: Request) -> str:
    before = request.intent.before
    return f"{before.text} {before.input}" if before.input else before.text


def _words_of(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
