"""Stored signatures are the computed ones, and a text that changed does not get those of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions import signatures
from teams_dagster.instructions.signatures import (
    SignaturesDamaged,
    StoredSignatures,
    signature,
    signatures_version,
    store_signatures,
)
from tests.support.properties import example_count

TEXTS = [Instruction(f"Name {number} rivers of Europe and their length.", "km" * (number % 2)) for number in range(50)]


def same(stored: StoredSignatures, instruction: Instruction) -> bool:
    return stored.of(instruction).tolist() == signature(instruction).hashvalues.tolist()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Instruction]:
    """The instructions whose signatures are computed from now on."""
    made: list[Instruction] = []

    def recorded(instruction: Instruction):
        made.append(instruction)
        return signature(instruction)

    monkeypatch.setattr(signatures, "signature", recorded)
    return made


def test_what_is_stored_is_read_and_what_is_not_is_computed(tmp_path: Path, computed: list[Instruction]) -> None:
    files = [tmp_path / "one.npy", tmp_path / "two.npy"]
    store_signatures(files[0], lambda: TEXTS[:20])
    store_signatures(files[1], lambda: [*TEXTS[10:40], *TEXTS[10:40]])
    computed.clear()
    stored = StoredSignatures(files)
    assert all(same(stored, text) for text in TEXTS)
    assert computed == TEXTS[40:]


def test_a_text_that_changed_is_computed_again(tmp_path: Path, computed: list[Instruction]) -> None:
    store_signatures(tmp_path / "one.npy", lambda: TEXTS)
    computed.clear()
    changed = Instruction(TEXTS[0].text + "!")
    assert same(StoredSignatures([tmp_path / "one.npy"]), changed)
    assert computed == [changed]


@settings(max_examples=example_count(20))
@given(st.lists(st.text(), max_size=8))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    file = tmp_path_factory.mktemp("signatures") / "file.npy"
    instructions = [Instruction(text) for text in texts]
    store_signatures(file, lambda: instructions)
    assert all(same(StoredSignatures([file]), instruction) for instruction in instructions)


def test_what_cannot_be_finished_leaves_no_file(tmp_path: Path) -> None:
    def broken():
        yield TEXTS[0]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        store_signatures(tmp_path / "one.npy", broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda _: b"", lambda _: b"no array"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "one.npy"
    store_signatures(file, lambda: TEXTS)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(SignaturesDamaged, match=r"one\.npy is damaged .* remove it"):
        StoredSignatures([file])


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(SignaturesDamaged, match="holds no signatures"):
        StoredSignatures([tmp_path / "one.npy"])


def test_another_way_to_compute_signatures_is_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signatures_version()
    monkeypatch.setattr(signatures, "SHINGLE_WORDS", 2)
    for cached in (signatures_version, signature):
        cached.cache_clear()
    try:
        assert signatures_version() != before
    finally:
        for cached in (signatures_version, signature):
            cached.cache_clear()
