"""Which precision a training computes in, and that it stays with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.student import precision
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.precision import Precision, choose_precision, decided_precision
from tests.support.bare_base import bare_base

LORA = AdapterConfig(kind="lora")


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base with layers that are worth measuring, on a processor that multiplies bf16."""
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: True)
    return bare_base(tmp_path / "base")


def measured(bf16: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        precision, "_seconds", lambda _, __, dtype: bf16 if dtype.is_floating_point and dtype.itemsize == 2 else 1.0
    )


@pytest.mark.parametrize(
    ("seconds", "dtype"), [(0.3, "bfloat16"), (0.79, "bfloat16"), (0.81, "float32"), (4.0, "float32")]
)
def test_a_processor_computes_in_bf16_where_that_was_measured_to_be_faster(
    seconds: float, dtype: str, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(seconds, monkeypatch)
    found = choose_precision(LORA, wide)
    assert found.dtype == dtype
    assert (
        found.reason == f"a layer's forward and backward pass took {seconds * 1000:.0f} ms in bf16 and 1000 ms in fp32"
    )


def test_a_training_that_goes_on_keeps_its_precision(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(0.1, monkeypatch)
    first = decided_precision(LORA, wide, tmp_path / "checkpoints")
    measured(9.0, monkeypatch)
    assert decided_precision(LORA, wide, tmp_path / "checkpoints") == first


def test_a_processor_without_bf16_and_a_narrow_model_are_not_measured(
    wide: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_seconds", pytest.fail)
    assert choose_precision(LORA, base).dtype == "float32"
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: False)
    assert choose_precision(LORA, wide).dtype == "float32"


def test_what_the_settings_say_is_what_is_done(wide: Path) -> None:
    found = choose_precision(AdapterConfig(kind="lora", precision="bf16"), wide)
    assert found == Precision("bfloat16", "as the settings say")
