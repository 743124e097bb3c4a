"""The embedded rules behind a real HTTP server: they read the prompts that arrive, as a language model would."""

from __future__ import annotations

import re
from typing import Any

from resources.language_models.offline import expert, judge, reviewer
from resources.language_models.offline.model import rewrite
from resources.language_models.offline.rater import rating
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.evaluation.judging import judge_prompt
from teams_dagster.instructions.prompts import all_prompts, prompt

_BETWEEN_TAGS = re.compile(r"<instruction>\n(.*?)\n</instruction>(?:\n+<input>\n(.*?)\n</input>)?", re.DOTALL)
_REVIEWED = re.compile(r"<first>\n(.*?)\n</first>\n+<second>\n(.*?)\n</second>", re.DOTALL)
_JUDGED = re.compile(
    r"<instruction (\w+)>\n(.*?)\n</instruction \1>\n+<answer A \1>\n(.*?)\n?</answer A \1>\n+"
    r"<answer B \1>\n(.*?)\n?</answer B \1>",
    re.DOTALL,
)
_RATED = re.compile(r"<instruction (\w+)>\n(.*?)\n</instruction \1>\n+<answer \1>\n(.*?)\n?</answer \1>", re.DOTALL)
_INPUT = re.compile(r"\n+Input:\n")


def answer(body: dict[str, Any]) -> str:
    """What the rules answer to a chat completions request body, its system message folded into the user's or not."""
    system, user = _system_and_user([message["content"] for message in body["messages"]])
    replica = body.get("seed") or 0
    for operation in TEXT_OPERATIONS:
        if system and prompt(operation.value).source.startswith(system[:200]):
            found = _BETWEEN_TAGS.search(user)
            assert found is not None, user
            return rewrite(operation, Instruction(found[1], found[2] or ""), replica)
    if reviewed := _REVIEWED.search(user):
        return reviewer.verdict(_with_input(reviewed[1]), _with_input(reviewed[2]))
    if judged := _JUDGED.search(user):
        return judge.preference(_with_input(judged[2]), judged[3], judged[4])
    if rated := _RATED.search(user):
        return rating(_with_input(rated[2]), rated[3])
    return expert.respond(_with_input(user), replica)


def _system_and_user(said: list[str]) -> tuple[str, str]:
    if len(said) == 2:
        return said[0], said[1]
    systems = {each.source.partition("\n---\n")[0].strip() for each in (*all_prompts(), judge_prompt())}
    system = max((system for system in systems if said[0].startswith(system)), key=len, default="")
    return system, said[0].removeprefix(system).lstrip()


def _with_input(text: str) -> Instruction:
    parts = _INPUT.split(text.strip(), maxsplit=1)
    return Instruction(parts[0], parts[1] if len(parts) > 1 else "")
