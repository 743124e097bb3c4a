"""The language models of a training: the policy, its frozen reference, and a critic for each value that is learnt.

With adapters, all of them share one base: the reference is the base with its adapters off. With full weights each is a
copy of the base. Everything is computed in evaluation mode, without dropout.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]

from teams_dagster.core.rng import torch_seeded
from teams_dagster.rlgf.config import WeightsConfig
from teams_dagster.rlgf.scoring import check_head


def recompute_layers(model: Any) -> None:
    """Has each layer of `model` keep nothing but its input, in place; without gradients nothing changes.

    transformers does so in training mode alone, which has dropout; here models stay in evaluation mode.

    Raises ValueError where it has no layer that transformers could checkpoint.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no layer for gradient checkpointing: leave weights.gradient_checkpointing off,"
            " and make at_once smaller"
        )
    for layer in layers:
        layer.forward = _recomputed(layer.forward)


def _recomputed(forward: Any) -> Any:
    @wraps(forward)
    def checkpointed(*args: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **options)
        return cast(Any, checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **options))

    return checkpointed


POLICY = "policy"


class Models(Protocol):
    """Sets of weights by name: `policy`, and the critics' names."""

    @contextmanager
    def using(self, name: str) -> Generator[Any]:
        """The causal language model with the weights `name`, inside the block alone."""
        ...

    @contextmanager
    def reference(self) -> Generator[Any]:
        """The model as it was before any training, inside the block alone."""
        ...

    def trained(self, name: str) -> dict[str, nn.Parameter]:
        """The weights of `name` that training changes, by their names in the model."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the policy into `folder` as PEFT or transformers do."""
        ...


class Adapters:
    """A LoRA adapter for each name, on one base."""

    def __init__(self, base: Any, names: Sequence[str], config: WeightsConfig, seed: int) -> None:
        """`base` gets the adapters put in, in place; `seed` decides their first weights."""
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(
            r=config.rank, lora_alpha=config.alpha, target_modules=config.target_modules, task_type="CAUSAL_LM"
        )
        with torch_seeded(seed):
            first, *others = names
            self.model: Any = get_peft_model(base, lora, adapter_name=first)
            for name in others:
                self.model.add_adapter(name, copy.deepcopy(lora))
        self.model.eval()
        if config.gradient_checkpointing:
            recompute_layers(self.model)

    @contextmanager
    def using(self, name: str) -> Generator[Any]:
        self.model.set_adapter(name)  # which also says whose gradients are wanted
        yield self.model.get_base_model()

    @contextmanager
    def reference(self) -> Generator[Any]:
        with self.model.disable_adapter():
            yield self.model.get_base_model()

    def trained(self, name: str) -> dict[str, nn.Parameter]:
        return {key: value for key, value in self.model.named_parameters() if f".{name}." in key and "lora_" in key}

    def save(self, folder: Path) -> None:
        from peft import get_peft_model_state_dict  # pyright: ignore[reportUnknownVariableType]
        from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

        folder.mkdir(parents=True, exist_ok=True)
        config = copy.copy(self.model.peft_config[POLICY])
        modules: object = config.target_modules
        if isinstance(modules, set):  # which each process would write in another order
            config.target_modules = sorted(cast(set[str], modules))
        config.save_pretrained(str(folder))
        weights = get_peft_model_state_dict(self.model, adapter_name=POLICY, save_embedding_layers=False)
        save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "adapter_model.safetensors")


class Copies:
    """A whole model for each name, and the frozen base; in float32, since half precision loses small updates."""

    def __init__(self, base: Any, names: Sequence[str], config: WeightsConfig) -> None:
        base.float().requires_grad_(False).eval()
        self._reference = base
        self._models = {name: copy.deepcopy(base).requires_grad_(True) for name in names}
        if config.gradient_checkpointing:
            for model in self._models.values():
                recompute_layers(model)

    @contextmanager
    def using(self, name: str) -> Generator[Any]:
        yield self._models[name]

    @contextmanager
    def reference(self) -> Generator[Any]:
        yield self._reference

    def trained(self, name: str) -> dict[str, nn.Parameter]:
        return dict(self._models[name].named_parameters())

    def save(self, folder: Path) -> None:
        self._models[POLICY].save_pretrained(str(folder))


def models_of(base: Any, names: Sequence[str], config: WeightsConfig, seed: int) -> Models:
    """The sets of weights `names` over `base`, equal to it at first. Raises ValueError where it changes its logits."""
    check_head(base)
    return Adapters(base, names, config, seed) if config.kind == "lora" else Copies(base, names, config)
