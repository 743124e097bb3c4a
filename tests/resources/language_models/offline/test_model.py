"""The offline model as a `LanguageModel`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from resources.language_models.offline.model import OfflineModel
from resources.language_models.offline.version import package_files, rules_version
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import (
    CompletionError,
    ErrorKind,
    Intent,
    LanguageModel,
    Outcome,
    Purpose,
    Request,
    Role,
    Usage,
)
from tests.support.offline_texts import EVERY_KIND, EXPLANATION, WRITING


def ask(intent: Intent, replica: int = 0, role: Role = Role.EXPERT) -> str:
    model: LanguageModel = OfflineModel()
    return asyncio.run(model.complete(Request(role, intent, (), "v", replica=replica))).text


def test_it_serves_every_purpose() -> None:
    rewritten = ask(Intent(Purpose.REWRITE, WRITING, None, Operation.ADD_CONSTRAINTS))
    assert rewritten.startswith(WRITING.text)
    assert ask(Intent(Purpose.REVIEW, WRITING, Instruction(rewritten), Operation.ADD_CONSTRAINTS)) == "Not Equal"
    assert len(ask(Intent(Purpose.RESPOND, WRITING)).split()) >= 20
    assert ask(Intent(Purpose.JUDGE, WRITING, answers=("", "A wet dog shook itself.")), role=Role.JUDGE) == "B"


def test_the_verdict_does_not_know_the_operation() -> None:
    after = Instruction(WRITING.text + " Use no adjectives.")
    assert {ask(Intent(Purpose.REVIEW, WRITING, after, operation)) for operation in Operation} == {"Not Equal"}
    assert {ask(Intent(Purpose.REVIEW, WRITING, WRITING, operation)) for operation in Operation} == {"Equal"}


def test_another_role_gets_the_same_answer() -> None:
    intent = Intent(Purpose.REWRITE, EXPLANATION, None, Operation.DEEPENING)
    assert len({ask(intent, role=role) for role in Role}) == 1


def test_a_replica_chooses_another_clause() -> None:
    intent = Intent(Purpose.REWRITE, WRITING, None, Operation.ADD_CONSTRAINTS)
    assert len({ask(intent, replica) for replica in range(8)}) > 3


def test_it_reports_no_tokens_because_it_has_none() -> None:
    request = Request(Role.EXPERT, Intent(Purpose.RESPOND, WRITING), (), "v")
    completion = asyncio.run(OfflineModel().complete(request))
    assert (completion.usage, completion.outcome, completion.finish_reason) == (Usage(), Outcome.USABLE, "stop")


def test_its_identity_carries_the_hash_of_its_rules() -> None:
    identity = OfflineModel().identity
    assert (identity.provider, identity.model, identity.base_url) == ("offline", "rules", "")
    assert identity.rules_version == rules_version() != ""


def test_the_rules_are_the_sources_and_the_data() -> None:
    names = {entry.name for entry in package_files()}
    assert {"reviewer.py", "rules.py", "expert.py", "clauses.toml", "domains.toml", "answers.toml"} <= names


@pytest.mark.parametrize("purpose", [Purpose.REWRITE, Purpose.REVIEW, Purpose.JUDGE])
def test_an_intent_that_lacks_something_is_rejected(purpose: Purpose) -> None:
    with pytest.raises(CompletionError) as caught:
        ask(Intent(purpose, WRITING))
    assert caught.value.kind is ErrorKind.REJECTED


def test_it_needs_neither_torch_nor_dagster() -> None:
    code = (
        "import sys, resources.language_models.offline.model\n"
        "print([name for name in ('torch', 'dagster', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_answers_thousands_of_requests_a_second() -> None:
    intents = [Intent(Purpose.REWRITE, one, None, operation) for one in EVERY_KIND for operation in TEXT_OPERATIONS]
    intents += [Intent(Purpose.REVIEW, one, WRITING) for one in EVERY_KIND]
    intents += [Intent(Purpose.RESPOND, one) for one in EVERY_KIND]
    model = OfflineModel()

    async def all_of_them() -> None:
        for intent in intents:
            await model.complete(Request(Role.EXPERT, intent, (), "v"))

    asyncio.run(all_of_them())
    started = time.process_time()
    asyncio.run(all_of_them())
    assert (time.process_time() - started) / len(intents) < 0.0005
