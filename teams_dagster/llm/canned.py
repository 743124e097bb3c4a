"""Replies that are no answers though each alone could be: a few texts for everything, and the prompt said back.

Labels, choices and numbers are legitimately the same for many queries, so they are told apart from the queries' words.
A text that differs each time in a number, an id or a date alone is one text, unless it speaks of what was asked.
"""

from __future__ import annotations

import re
from itertools import pairwise
from string import ascii_letters, digits

from teams_dagster.core.protocol import Purpose, Request
from teams_dagster.core.words import word_count, words

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

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)

_DAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)"

_MONTHS_AND_DAYS = re.compile(rf"{_MONTH}|{_DAY}", re.IGNORECASE | re.ASCII)

_FROM_ITS_DIGIT = re.compile(rf"\d[\w.:,/+%-]*(?:[., ]+{_MONTH}\b)?", re.IGNORECASE | re.ASCII)
"""A counter, an id, a time, from its first digit on, and the name of a month behind it."""

_BEFORE_ITS_DIGIT = f"{ascii_letters}_#$"

_WITHIN_A_WORD = (*digits, "_")

_NAMES_BEFORE = 3
"""So many names of days and months may stand before it."""

_FEWEST_WORDS = 4
"""A text has at least so many words beside its variable parts: fewer, and the number may be the answer."""

_AS_MANY_AS_THAT = 3 * _FEWEST_WORDS
"""So many words count as that in any script: each is a third of a word at least."""

_OF_ANY_ANSWER = frozenset(
    "the a an is are so therefore thus it of final correct right answer result value total equals die das der ist"
    " lautet antwort richtige ergebnis la el es respuesta correcta resultado le est réponse bonne résultat il è"
    " risposta risultato corretta o a é resposta correta ответ правильный равен".split()
)
"""Words around a number that is the answer."""

_OF_ANY_TALK = frozenset(
    "with this that from have been will your yours please thank thanks request requests question questions message"
    " messages answer answers text texts response responses reply received help what when where which write about"
    " into they them their there here more some than then also very after before".split()
)
"""Words of four letters or more that canned texts and questions have in common."""

_ASKS_FOR_A_NUMBER = re.compile(
    r"\d\D+\d|\b(?:how (?:many|much|old|long|far|tall|high|big|often|fast)|calculat|comput|solve\b|convert|sum of"
    r"|average|percent|(?:what|which|the) (?:\w+ ){0,2}(?:year|number|date|price|cost|score|rating|age)\b"
    r"|wie ?viele?|combien|cuánt|quant[oaie]\b|сколько)|\A\W*(?:rate|score|grade|estimate|count|measure)\b"
    r"|多少|几|計算|计算|いくつ|何[個人年日回]|몇|얼마",
    re.IGNORECASE,
)

_SIGNS_OF_CODE = ("=", ";", "```", "\n ", "\n\t")
"""What says nothing about its subject in words, and whose numbers count."""


def told_apart(request: Request, text: str) -> str:
    """What tells a reply from others: without variable parts, where the rest is long and speaks of nothing asked."""
    rest = _without_variable_parts(text)
    if rest == text or any(sign in text for sign in _SIGNS_OF_CODE):
        return text
    asked, said = _asked(request), [word for word in words(rest) if word not in _OF_ANY_ANSWER]
    if not _subjects(said).isdisjoint(_subjects(words(asked))) or _ASKS_FOR_A_NUMBER.search(asked) is not None:
        return text
    return text if word_count(said[:_AS_MANY_AS_THAT]) < _FEWEST_WORDS else rest


def _without_variable_parts(text: str) -> str:
    """`text` with `#` for whatever has a digit, with the names of days and months beside it.

    From digit to digit: a search that looks for such names at every word takes ten times as long, for each reply.
    """
    parts = list[str]()
    begins = at = 0
    while (found := _FROM_ITS_DIGIT.search(text, at)) is not None:
        before = text[begins : found.start()].rstrip(_BEFORE_ITS_DIGIT)
        if begins and not before and text[begins - 1] in _BEFORE_ITS_DIGIT:  # it goes on from what was left out
            at = found.start() + 1
            continue
        parts += (_without_names(before), "#")
        begins = at = found.end()
    return "".join((*parts, text[begins:]))


def _without_names(before: str) -> str:
    """What is before a variable part without the names of days and months at its end."""
    for _ in range(_NAMES_BEFORE):
        last = before.rstrip("., ")
        rest = last.rstrip(ascii_letters)
        if last == before or rest.endswith(_WITHIN_A_WORD) or _MONTHS_AND_DAYS.fullmatch(last, len(rest)) is None:
            break
        before = rest
    return before


def _subjects(found: list[str]) -> set[str]:
    """The beginnings of words that say what a text is about; two characters each of scripts without spaces."""
    long = {word[:5] for word in set(found) - _OF_ANY_TALK if len(word) >= _FEW_WORDS}
    if all(map(str.isascii, found)):
        return long
    return long | {f"{a}{b}" for a, b in pairwise(found) if len(a) == len(b) == 1 and not (a + b).isascii()}


def could_be_a_label(request: Request, text: str) -> bool:
    """Whether an answer may be one of a closed set, and so the same to many queries: a label, a choice, a number."""
    if request.intent.purpose is not Purpose.RESPOND:
        return False
    said = plainly(text)
    if len(said.split()) > _FEW_WORDS or said in _NO_LABELS:
        return False
    if _CHOICES.fullmatch(said) is not None:
        return True
    asked = _asked(request)
    return _ASKS_FOR_A_LABEL.search(asked) is not None or f" {_words_of(said)} " in f" {_words_of(asked)} "


def could_be_brief(request: Request, text: str) -> bool:
    """Whether an answer of a few words may be what was asked for, and so one of few: a name, a place."""
    if request.intent.purpose is not Purpose.RESPOND:
        return False
    said = plainly(text)
    brief = len(said.split()) <= _FEW_WORDS and said not in _NO_LABELS
    return brief and _ASKS_BRIEFLY.search(_asked(request)) is not None


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
