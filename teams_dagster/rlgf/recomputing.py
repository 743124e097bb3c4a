"""Gradient checkpointing: a layer's activations are computed again in the backward pass, not kept until then.

transformers does so in training mode alone, which has dropout; here models stay in evaluation mode.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint


def recompute_layers(model: Any) -> None:
    """Has each layer of `model` keep nothing but its input, in place; without gradients nothing changes.

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
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **options)

    return checkpointed
