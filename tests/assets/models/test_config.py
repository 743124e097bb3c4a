"""The run configuration of fine-tuning: presets, what is given on top of them, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from assets.models.config import AdapterSettings, SettingsRefused


def test_the_papers_preset_keeps_the_paper_but_for_what_was_changed() -> None:
    settings = AdapterSettings(preset="paper", epochs=1.0).resolved("lora", embedded=True)
    assert (settings.template, settings.max_length, settings.epochs) == ("alpaca", 512, 1.0)
    assert settings.learning_rate == 2e-4
    assert AdapterSettings(preset="paper_full").resolved("lora", embedded=False).kind == "full"


def test_what_is_left_out_is_the_students_default() -> None:
    assert AdapterSettings().resolved("lora", embedded=True).learning_rate == 8e-3
    assert AdapterSettings().resolved("lora", embedded=False).learning_rate == 2e-4
    assert AdapterSettings(packing=True).resolved("qlora", embedded=False).packing is True


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "paper_full"}, "use lora_model"),
        ({"launcher": "fsdp"}, "cannot spread a 4-bit base"),
    ],
)
def test_settings_that_do_not_fit_a_four_bit_base_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsRefused, match=message):
        AdapterSettings(**settings).resolved("qlora", embedded=False)


def test_dropout_without_an_adapter_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"dropout 0\.1 is the adapter's"):
        AdapterSettings(preset="paper_full", dropout=0.1).resolved("lora", embedded=False)
