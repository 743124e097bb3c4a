"""NF4, the 4-bit base of QLoRA (Dettmers et al. 2023, arXiv 2305.14314), and the proof that a base is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import BitsAndBytesConfig


@dataclass(frozen=True)
class FourBitProof:
    """Evidence that a base is 4-bit and not merely called so."""

    layers: int
    """Linear layers stored as packed NF4."""
    weights: int
    """Weights in those layers."""
    packed_bytes: int
    """Bytes that store them: half a byte each, block constants apart."""
    logit_gap: float
    """Largest absolute difference of logits from the float base's on a probe text; 0 would mean no quantisation."""

    @property
    def bits_per_weight(self) -> float:
        """4.0 for packed NF4, 32.0 for float32."""
        return 8 * self.packed_bytes / self.weights


def nf4(compute_dtype: torch.dtype, *, double: bool = True) -> BitsAndBytesConfig:
    """NF4, `double` quantised (section 3 of the paper) unless told otherwise; products are in `compute_dtype`."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def keep_differentiable(model: Any) -> None:
    """Keeps a 4-bit model's layers in the layout that gradients flow through, on a CPU.

    bitsandbytes 0.50 repacks a layer for AVX512-BF16 the first time it is called in evaluation mode; the repacked
    layer has no gradient, so that one validation pass would silently break the training after it, and its scores
    would depend on the processor.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


@torch.inference_mode()
def logits_of(model: Any, probe: list[int]) -> torch.Tensor:
    """The logits on the tokens `probe`, as float32 on the CPU."""
    return model(input_ids=torch.tensor([probe], device=model.device)).logits.float().cpu()


def prove_four_bit(quantised: Any, full: torch.Tensor, probe: list[int]) -> FourBitProof:
    """Counts the packed bytes of `quantised` and compares its logits on `probe` with `full`, the float base's.

    The float base's logits are taken before, so that both models need not be in memory at once. Raises ValueError when
    no layer of `quantised` is 4-bit.
    """
    from bitsandbytes.nn.modules import Linear4bit

    layers: list[Any] = [module for module in quantised.modules() if isinstance(module, Linear4bit)]
    if not layers:
        raise ValueError("no layer of this model is 4-bit: load it with the NF4 configuration")
    return FourBitProof(
        layers=len(layers),
        weights=sum(layer.in_features * layer.out_features for layer in layers),
        packed_bytes=sum(layer.weight.numel() * layer.weight.element_size() for layer in layers),
        logit_gap=(logits_of(quantised, probe) - full).abs().max().item(),
    )
