"""A rewrite that names no operation, served by the rules."""

from __future__ import annotations

from collections import Counter

import pytest

from resources.language_models.offline.kinds import read
from resources.language_models.offline.model import rewrite
from resources.language_models.offline.reviewer import same
from resources.language_models.offline.rules import RULES
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import GenericRewrite, Operation
from teams_dagster.instructions.requests import parse_rewrite
from tests.support.offline_texts import EVERY_KIND

HARDER = GenericRewrite.HARDER


def harder(before: Instruction) -> Instruction:
    return parse_rewrite(HARDER, before, rewrite(HARDER, before, 0))


def ways(before: Instruction) -> list[Operation]:
    """The operations that have something left to add to a text, and keep it."""
    reading = read(before.text, before.input)
    return [operation for operation, rule in RULES.items() if not rule.renews and rule.edit(reading, 0) is not None]


def done(before: Instruction, way: Operation) -> Instruction:
    return parse_rewrite(way, before, rewrite(way, before, 0))


@pytest.mark.parametrize("seed", EVERY_KIND, ids=lambda seed: seed.text[:30])
def test_it_changes_what_is_asked_until_no_way_has_anything_left(seed: Instruction) -> None:
    text = seed
    while ways(text):
        assert not same(text, harder(text))
        text = harder(text)
    assert same(text, harder(text))


@pytest.mark.parametrize("seed", EVERY_KIND, ids=lambda seed: seed.text[:30])
def test_it_does_what_one_of_the_operations_does(seed: Instruction) -> None:
    assert not ways(seed) or harder(seed) in [done(seed, way) for way in ways(seed)]


def test_it_is_no_operation_under_another_name() -> None:
    chosen = Counter(way for seed in EVERY_KIND for way in ways(seed) if done(seed, way) == harder(seed))
    assert len(chosen) > 2
