"""What kind of task a text is, read from its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

LEAD_CHARACTERS = 320
"""Only the beginning of a text tells its kind: clauses added at its end do not change it."""


class Kind(StrEnum):
    """A kind of task."""

    WRITING = "writing"
    EXPLANATION = "explanation"
    FACT = "fact"
    LIST = "list"
    PLAN = "plan"
    CODE = "code"
    ARITHMETIC = "arithmetic"
    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    TRANSFORM = "transform"
    OTHER = "other"


@dataclass(frozen=True)
class Reading:
    """What the rules know of an (instruction, input) pair before they touch it."""

    text: str
    input: str
    kind: Kind
    shape: str
    """How an explanation asks: why, how, compare, opinion, what, or any."""
    form: str
    """What kind of text is to be written, with its article; empty unless the kind is writing."""


_PREAMBLE = re.compile(
    r"^\W*(please|kindly|(could|can|would|will) you( please)?( tell me)?|i (would like|want|need) (you )?to( know)?"
    r"|i'd like (you )?to|your task is to|you (need|are asked|have) to|help me( to)?)\b[\s:,]*",
    re.IGNORECASE,
)

_CODE = re.compile(
    r"\b(python|javascript|java|sql|html|css|bash|haskell|rust|c\+\+|regex|regular expression|leetcode|pseudocode"
    r"|unit test|julia|lua|c function|go program|typescript|shell script)\b"
    r"|\b(write|create|implement|build|code|debug)\b.{0,40}\b(function|program|script|algorithm|code|class)\b",
    re.IGNORECASE | re.DOTALL,
)
_ARITHMETIC = re.compile(
    r"\b(calculate|compute|solv(e|ing)|equations?|(answer|solve) .{0,30}math\w* (problem|question)s?"
    r"|median|how many \w+ (does|do|are|is|can|will)"
    r"|work out the|divide|multiply|square root|percent of)\b|\d\s*(%|percent|per cent) of \d"
    r"|\bconvert(ing)? (the following measurement|-?\d)|\d\s*[-+*/x^]\s*\d+\s*[=?]",
    re.IGNORECASE,
)
_QUANTITY_QUESTION = re.compile(
    r"\b(how (many|much|long|far|fast|old)|what (does|do|is) .{0,40}\b(cost|total|speed|price|sum|average)"
    r"|when does it arrive)\b",
    re.IGNORECASE,
)
_CLASSIFICATION = re.compile(
    r"\b(classify|categori[sz]e|label|tag|verify if|fact.?check\w*|true or false|yes or no|tell (me )?(if|whether)"
    r"|(decide|determine|assess|identify|detect|check|predict|say in one word) (if|whether|which)"
    r"|predict the|topic for the|does the .{0,40} support|answer yes|sentiment"
    r"|(identify|name|detect) the (\w+ )?(tense|mood|tone|intent|language|bias|pos tag|rhetorical device)"
    r"|fact or (an )?opinion|multiple choice|spam|does not belong|(choose|select|pick) the |is logically"
    r"|which (department|category|genre|label)|positive or negative|match each|group these|sort these \w+ into)",
    re.IGNORECASE,
)
_MATERIAL = re.compile(
    r"\b(?P<extraction>extract(ing)?|pull|pick out|find|identify|locate|count|underline|quote|link all|select|rank"
    r"|read the|from the|using the table|put the events|sort the)\b"
    r"|\b(?P<transform>rewrite|paraphrase|summari[sz]e|sum up|translate|convert(ing)?|correct|edit|proofread|simplify"
    r"|shorten|expand|turn|change|reformat|replace|fill|complete|improve|merge|make (the|this)|rephrase|hedge|reword"
    r")\b",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"\b(?P<list>list|brainstorm|enumerate|examples?|some|(come up with|suggest|give|name|offer|what are) (me )?"
    r"(some|several|a few|two|three|four|five|six|seven|eight|ten|\d+|the names)|make a list|synonyms|reasons for"
    r"|name (the|all)|questions to|checklist|pros and cons|ingredients)\b"
    r"|\b(?P<plan>plan|recommend|advise|advice|suggest|tips|recipe|schedule|budget|itinerary|routine|survey|syllabus"
    r"|strategy|organi[sz]e|outline|steps for|what should i|what can i|how (can|do|should) i|design|instructions for"
    r"|prepare|set up|teach|meal plan)\b"
    r"|\b(?P<writing>write|compose|draft|create|generate|tell (me )?(a|the)|make up|imagine|invent|reply|poem|story"
    r"|joke|letter|e-?mail|speech|essay|slogan|title|describe a (time|scene)|word a)\b"
    r"|\b(?P<explanation>explain|describe|why|how|what (is|are|does|do|causes|caused|happens|makes|did|should)|discuss"
    r"|compare|contrast|difference|should|is it|opinion|define|definition|meaning"
    r"|analy[sz]e|interpret|tell me how|what|evaluate|argue"
    r"|elaborate|is there)\b"
    r"|\b(?P<fact>who|when|where|which|in which)\b",
    re.IGNORECASE,
)
_SHAPES = (
    ("compare", re.compile(r"\b(compare|contrast|differences?|differ|versus|vs)\b", re.IGNORECASE)),
    ("opinion", re.compile(r"\b(should|good idea|opinion|do you think|is it|agree)\b", re.IGNORECASE)),
    ("why", re.compile(r"\bwhy\b", re.IGNORECASE)),
    ("how", re.compile(r"\bhow\b", re.IGNORECASE)),
    ("what", re.compile(r"\bwhat\b", re.IGNORECASE)),
)
_FORM = re.compile(
    r"\b(poem|haiku|limerick|song|short story|bedtime story|fairy tale|story|e-?mail|cover letter|letter|speech|toast"
    r"|review|essay|article|blog post|dialogue|conversation|joke|riddle|slogan|advertisement|scene|thank-you note|note"
    r"|product description|description|message|social media post|paragraph|report|diary entry|press release|proverb"
    r"|metaphor|newsletter|announcement)s?\b",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d")


@lru_cache(maxsize=4096)
def read(text: str, material: str) -> Reading:
    """The reading of an instruction with its input."""
    lead = text[:LEAD_CHARACTERS]
    lead = _PREAMBLE.sub("", lead, count=1)
    kind = _kind(lead, material)
    shape = next((name for name, pattern in _SHAPES if pattern.search(lead)), "any")
    form = ""
    if kind is Kind.WRITING:
        found = _FORM.search(lead)
        form = found.group(1).lower() if found else "short text"
    return Reading(text, material, kind, shape, form)


def with_article(phrase: str) -> str:
    """`phrase` with its indefinite article."""
    return ("an " if phrase[:1].lower() in "aeiou" else "a ") + phrase


def first_sentence(text: str) -> str:
    """`text` up to the end of its first sentence, without the full stop."""
    match = re.match(r"\s*(.+?)(?:[.?!:](?=\s|$)|\n|$)", text, re.DOTALL)
    return match.group(1) if match else text


def _kind(lead: str, material: str) -> Kind:
    opening = first_sentence(lead)
    if _CODE.search(opening):
        return Kind.CODE
    if _ARITHMETIC.search(lead[:160]) or (_DIGITS.search(lead) and _QUANTITY_QUESTION.search(lead)):
        return Kind.ARITHMETIC
    if _CLASSIFICATION.search(lead[:200]):
        return Kind.CLASSIFICATION
    if (found := _MATERIAL.search(opening)) and (material or found.start() == 0):
        return Kind(found.lastgroup or Kind.OTHER)
    found = _CUE.search(opening) or _CUE.search(lead[:200])
    if found:
        return Kind(found.lastgroup or Kind.OTHER)
    return Kind.EXPLANATION if "?" in lead else Kind.OTHER
