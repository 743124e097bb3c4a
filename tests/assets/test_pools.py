"""Each step that asks, trains or scores takes its turn in a pool, once an operator has limited it."""

from __future__ import annotations

import dagster as dg
import pytest

import assets as graph
from assets.pools import GPU, LANGUAGE_MODELS

ASKING = {"trained_policy", "policy_comparison"}
"""Assets that ask, beside those of kind openai."""

ASSETS = {
    asset.key.to_user_string(): asset
    for asset in dg.load_assets_from_package_module(graph)
    if isinstance(asset, dg.AssetsDefinition)
}


@pytest.mark.parametrize("name", ASSETS)
def test_a_step_is_in_the_pool_of_what_it_shares(name: str) -> None:
    asset = ASSETS[name]
    kinds = next(iter(asset.specs)).kinds
    asks, fills = "openai" in kinds or name in ASKING, "huggingface" in kinds and not name.endswith("dataset")
    assert asset.op.pool == (GPU if fills else LANGUAGE_MODELS if asks else None)
