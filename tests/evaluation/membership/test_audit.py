from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.membership.audit import attack, audit_privacy, signals_of
from teams_dagster.evaluation.membership.canaries import audit_canaries, make_canaries
from teams_dagster.evaluation.privacy import LOSS, MIN_K, REFERENCE, MembershipScore
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.chat import encode_example
from teams_dagster.student.loading import Student, load_student

SHORT = AdapterConfig(kind="lora", learning_rate=8e-3, batch_size=10, max_steps=8)
MEMBERS, OTHERS = make_canaries(30, 0, "members"), make_canaries(30, 0, "others")
STEPS = {example.sample_id: 1 for example in (*MEMBERS, *OTHERS)}
Results = dict[tuple[str, str], MembershipScore]


def learn_by_heart(student: Student, examples: Sequence[Example]) -> Student:
    """All weights are trained, so that a student this small remembers."""
    encoded = [encode_example(student.tokenizer, example, 256) for example in examples]
    width = max(len(one.input_ids) for one in encoded)
    ids = torch.tensor([[*one.input_ids, *[0] * (width - len(one.input_ids))] for one in encoded])
    labels = torch.tensor([[*one.labels, *[-100] * (width - len(one.labels))] for one in encoded])
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=3e-3)
    for _ in range(45):
        student.model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return student


@pytest.fixture(scope="module")
def results(base: Path) -> Results:
    """A student that learnt random words by heart, and one that learnt other random words."""
    examples = [*MEMBERS, *OTHERS]
    students = {
        "base": load_student(base),
        "leaky": learn_by_heart(load_student(base), MEMBERS),
        "tight": learn_by_heart(load_student(base), make_canaries(30, 0, "elsewhere")),
    }
    signals = {name: signals_of(student, examples, name, lambda _: None) for name, student in students.items()}
    found = attack(signals, [e.seed_id for e in examples], [True] * 30 + [False] * 30, seed=0)
    return {(result.attack, result.model): result for result in found}


@pytest.mark.slow
@pytest.mark.parametrize("name", [LOSS, MIN_K, REFERENCE])
def test_planted_memorisation_is_found(results: Results, name: str) -> None:
    assert results[name, "leaky"].ci_low > 0.8
    assert results[name, "leaky"].minus_base_low > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", [LOSS, MIN_K, REFERENCE])
def test_nothing_is_found_where_nothing_was_planted(results: Results, name: str) -> None:
    assert results[name, "tight"].ci_low < 0.5 < results[name, "tight"].ci_high
    assert results[name, "tight"].minus_base_low < 0 < results[name, "tight"].minus_base_high


@pytest.mark.slow
def test_the_base_is_the_control_of_the_attacks_it_can_be_put_to(results: Results) -> None:
    assert results[LOSS, "base"].ci_low < 0.5 < results[LOSS, "base"].ci_high
    assert {key for key in results if key[1] == "base"} == {(LOSS, "base"), (MIN_K, "base")}


@pytest.mark.slow
def test_every_adapter_is_attacked_over_the_same_matched_samples(base: Path, tmp_path: Path) -> None:
    train_adapter(base, MEMBERS, [], tmp_path, SHORT)
    long = Example("long", "seed", MEMBERS[0].instruction, "word " * 2000)
    steps = STEPS | {"long": 1, MEMBERS[0].sample_id: 6}
    audit = audit_privacy(base, {"lora": tmp_path}, [*MEMBERS, long], OTHERS[:24], steps, seed=0)
    assert audit.too_long == ("long",)
    assert [(r.attack, r.model) for r in audit.results] == [
        (LOSS, "base"),
        (LOSS, "lora"),
        (MIN_K, "base"),
        (MIN_K, "lora"),
        (REFERENCE, "lora"),
    ]
    assert {(r.members, r.non_members) for r in audit.results} == {(r.members, r.members) for r in audit.results}
    assert 16 <= audit.results[0].members <= 24
    assert audit == audit_privacy(base, {"lora": tmp_path}, [*MEMBERS[::-1], long], OTHERS[:24], steps, seed=0)


def test_a_sample_whose_step_is_not_known_is_refused(base: Path) -> None:
    with pytest.raises(ValueError, match="has no step"):
        audit_privacy(base, {}, MEMBERS, OTHERS, {}, seed=0)


@pytest.mark.slow
def test_canaries_are_more_exposed_by_an_adapter_that_met_them(base: Path) -> None:
    longer = SHORT.model_copy(update={"max_steps": 40})
    found = audit_canaries(base, OTHERS, longer, canaries=20, times=8, seed=1)
    assert found.base_exposure < found.exposure <= found.most_exposure
    assert {r.model for r in found.results} == {"base", "canary_adapter"}
    assert {(r.members, r.non_members) for r in found.results} == {(20, 20)}


def test_one_canary_cannot_be_ranked(base: Path) -> None:
    with pytest.raises(ValueError, match="1 canaries cannot be ranked"):
        audit_canaries(base, OTHERS, SHORT, canaries=1, times=1, seed=0)
