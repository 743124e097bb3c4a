"""Two adapters as one: what was trained on top of an adapter, on the base that both stand on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from teams_dagster.student.loading import RECIPE_FILE

if TYPE_CHECKING:
    import torch

WEIGHTS = "adapter_model.safetensors"
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def join_adapters(first: Path, second: Path, folder: Path) -> None:
    """Writes into `folder` the LoRA adapter that does what `first` and then `second` do, with `second`'s recipe.

    Their matrices stand side by side, scaled: it has the ranks of both together, and scale 1. A layer that one of them
    leaves alone gets zeros in its place.
    """
    from peft import LoraConfig
    from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]

    configs = [cast(Any, LoraConfig).from_pretrained(str(one)) for one in (first, second)]
    weights = [load_file(one / WEIGHTS) for one in (first, second)]
    layers = sorted({name.removesuffix(DOWN) for own in weights for name in own if name.endswith(DOWN)})
    joined: dict[str, torch.Tensor] = {}
    for layer in layers:
        joined[layer + DOWN], joined[layer + UP] = _side_by_side(layer, configs, weights)
    rank = sum(config.r for config in configs)
    config: Any = LoraConfig(
        base_model_name_or_path=configs[0].base_model_name_or_path,
        task_type=configs[0].task_type,
        r=rank,
        lora_alpha=rank,
        target_modules=sorted({name for each in configs for name in each.target_modules}),
        inference_mode=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    config.target_modules = sorted(config.target_modules)  # a set, which each process would write in another order
    config.save_pretrained(str(folder))
    save_file(joined, folder / WEIGHTS)
    shutil.copyfile(second / RECIPE_FILE, folder / RECIPE_FILE)


def _side_by_side(
    layer: str, configs: list[Any], weights: list[dict[str, torch.Tensor]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(ranks, inputs) and (outputs, ranks) of a layer, in float32."""
    import torch

    known: Mapping[str, torch.Tensor] = next(own for own in weights if layer + DOWN in own)
    inputs, outputs = known[layer + DOWN].shape[1], known[layer + UP].shape[0]
    down, up = list[torch.Tensor](), list[torch.Tensor]()
    for config, own in zip(configs, weights, strict=True):
        if layer + DOWN in own:
            down.append(own[layer + DOWN].float())
            up.append(own[layer + UP].float() * (config.lora_alpha / config.r))
        else:
            down.append(torch.zeros(config.r, inputs))
            up.append(torch.zeros(outputs, config.r))
    return torch.cat(down, dim=0).contiguous(), torch.cat(up, dim=1).contiguous()
