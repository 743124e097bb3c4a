"""The page on bf16 says which work keeps an update from gaining what its matrix products gain."""

from __future__ import annotations

import torch

from benchmarks.training.bf16 import Update, page, what_holds


def an_update(products: float, attention: float) -> Update:
    return Update(
        tokens=1_000,
        seconds={"forward": 1.0, "backward": products + attention},
        operations={("backward", "matrix products"): products, ("backward", "attention"): attention},
    )


def test_names_the_work_that_takes_longer_in_bf16_than_in_float32() -> None:
    said = what_holds(an_update(products=0.8, attention=0.1), an_update(products=0.2, attention=0.3))

    assert "are 40% of bf16's backward pass" in said
    assert "take 25% of their time in float32" in said
    assert "the worst is attention: 300 ms instead of 100." in said


def test_the_page_holds_both_speeds_beside_one_another() -> None:
    written = page({torch.float32: an_update(0.9, 0.1), torch.bfloat16: an_update(0.2, 0.1)}, {"CPU": "some"})

    assert "| tokens a second | 500 | 769 | 1.54 |" in written
