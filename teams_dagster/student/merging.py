"""Two adapters as one, an adapter added into its base as a model that stands alone, and its way to the hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teams_dagster.student.loading import RECIPE_FILE

if TYPE_CHECKING:
    import torch

TOKEN = "HF_TOKEN"


class CannotPush(RuntimeError):
    """The hub did not take the model; the message says why and what to do."""


def push_folder(folder: Path, repo_id: str, *, private: bool = True) -> str:
    """Uploads `folder` to the model repository `repo_id`, which is made where it is missing; returns its address.

    The token is read from HF_TOKEN and written nowhere. Raises CannotPush.
    """
    token = os.environ.get(TOKEN)
    if not token:
        raise CannotPush(f"{TOKEN} is not set: put a token that may write to {repo_id} into the environment")
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        hub.create_repo(repo_id, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload by teams-dagster")
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        said = str(error).replace(token, f"<{TOKEN}>").strip()
        raise CannotPush(f"the hub did not take {folder} as {repo_id}: {said}") from None
    return f"{hub.endpoint}/{repo_id}"


def merge_adapter(base: str | Path, adapter: Path, folder: Path) -> None:
    """Writes the model to `folder` (new or empty): safetensors, tokenizer, chat template, recipe, card.

    The base is loaded in float, also for an adapter that was trained on its 4-bit form: what was lost by quantising
    comes back, so answers can differ a little from those of adapter and 4-bit base.

    Raises FileExistsError when `folder` holds something, ValueError when the base renders prompts otherwise than at
    training.
    """
    from teams_dagster.student.loading import RECIPE_FILE, Recipe, load_adapter

    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something already: name another folder, or empty it")
    recipe = Recipe.load(adapter)
    if recipe.kind == "full":
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
        return
    student = load_adapter(base, adapter, four_bit=False)
    student.model.merge_and_unload().save_pretrained(str(folder))
    student.tokenizer.save_pretrained(str(folder))
    for name in (RECIPE_FILE, "README.md"):
        if (adapter / name).exists():
            shutil.copy(adapter / name, folder / name)


WEIGHTS = "adapter_model.safetensors"
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def join_adapters(first: Path, second: Path, folder: Path) -> None:
    """Writes into `folder` the LoRA adapter that does what `first` and then `second` do, with `second`'s recipe.

    Their matrices stand side by side, scaled: it has the ranks of both together, and scale 1. A layer that one of them
    leaves alone gets zeros in its place.
    """
    from peft import LoraConfig
    from safetensors.torch import load_file, save_file

    configs: list[Any] = [LoraConfig.from_pretrained(str(one)) for one in (first, second)]
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
