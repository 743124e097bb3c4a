"""Loading a student: the base (embedded, a folder or a hub id), in float or in 4 bits, with or without an adapter.

Four bits are NF4, the base of QLoRA (Dettmers et al. 2023, arXiv 2305.14314), with the proof that a base is in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from teams_dagster.model_weights import load_weights
from teams_dagster.student.adapter_config import Template, TrainedReasoning
from teams_dagster.student.chat import ALPACA_TEMPLATE, template, template_version
from teams_dagster.student.conversation import TemplateFault, with_frozen_clock
from teams_dagster.student.quiet import quieten_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


RECIPE_FILE = "recipe.json"
LONGEST_CONTEXT = 4096
"""Tokens at which scoring stops asking for more, whatever a model's context."""


@dataclass(frozen=True)
class Student:
    """A model ready to be scored or asked, with its tokenizer."""

    model: Any
    """A transformers or peft causal language model, in evaluation mode."""
    tokenizer: PreTrainedTokenizerBase
    template: str
    """Which chat template renders its prompts: `tokenizer` (its own) or `alpaca` (it has none)."""
    four_bit: bool

    @property
    def context(self) -> int:
        """The longest example, in tokens, that it is given."""
        return min(getattr(self.model.config, "max_position_embeddings", LONGEST_CONTEXT), LONGEST_CONTEXT)


@dataclass(frozen=True)
class Recipe:
    """What an adapter must be loaded with to meet what it was trained with; stored beside its weights."""

    kind: str
    template: str
    template_version: str
    max_length: int
    clock: str | None = None
    """The time that the chat template was told, where it asks."""
    reasoning: TrainedReasoning | None = None
    """How thoughts were learnt; None where none were."""

    def save(self, folder: Path) -> None:
        """Writes it into an adapter's folder."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        (folder / RECIPE_FILE).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Recipe:
        """Reads it from an adapter's folder. Raises FileNotFoundError where there is none."""
        return cls(**json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8")))


def wanted_template(recipe: Recipe) -> Template:
    """What to ask `load_tokenizer` for, so that prompts are those of a training."""
    return "alpaca" if recipe.template == ALPACA_TEMPLATE else "auto"


def device() -> str:
    """`cuda` when there is a GPU (of several processes on one machine, each has its own), else `cpu`."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def compute_dtype() -> torch.dtype:
    """bfloat16 on a GPU that has it, else float32 (on a CPU bfloat16 is slower and loses small updates)."""
    return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32


def load_tokenizer(
    path: str | Path, wanted: Template = "auto", *, gguf: str | None = None
) -> tuple[PreTrainedTokenizerBase, str]:
    """The tokenizer at `path` and the name of its template: by default its own, or Alpaca's where it brings none.

    `gguf` names the file in the folder `path` that the tokenizer is in, where it is in one. Raises ValueError where its
    own is `wanted` and there is none, or none that is plainly meant.
    """
    tokenizer: PreTrainedTokenizerBase = cast(Any, AutoTokenizer).from_pretrained(
        str(path), trust_remote_code=False, **({"gguf_file": gguf} if gguf else {})
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    brought = cast("str | dict[str, str] | None", tokenizer.chat_template)  # pyright: ignore[reportUnknownMemberType]
    if isinstance(brought, dict):
        brought = _default_template(path, brought) if brought else None
    if brought is None and wanted == "tokenizer":
        raise ValueError(f"template: the tokenizer of {path} brings no chat template; choose alpaca or auto")
    if brought is not None and wanted != ALPACA_TEMPLATE:
        # Here, and not only where prompts are written: the harness asks it, and a merged model takes it along
        tokenizer.chat_template = with_frozen_clock(brought)
        return tokenizer, "tokenizer"
    begins = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = ("{{- bos_token -}}" if begins else "") + template(ALPACA_TEMPLATE)
    return tokenizer, ALPACA_TEMPLATE


def _default_template(path: str | Path, named: Mapping[str, str]) -> str:
    """Of several chat templates the one that transformers takes for plain conversations. Raises TemplateFault."""
    if "default" not in named:
        names = ", ".join(sorted(named))
        raise TemplateFault(
            f"the tokenizer of {path} brings several chat templates ({names}) and none called `default`"
        )
    return named["default"]


def load_student(
    path: str | Path,
    *,
    four_bit: bool = False,
    dtype: torch.dtype | None = None,
    template: Template = "auto",
    double_quantisation: bool = True,
    place: str | None = None,
) -> Student:
    """The base at `path` (a folder or a hub id), on the GPU when there is one, in `dtype` (by default bfloat16 there).

    `four_bit` loads its linear layers as NF4; `place` names another device. Raises ModelFault where its weights are not
    those that its configuration asks for, and OSError, by transformers, when nothing can be loaded from `path`.
    """
    quieten_transformers()
    tokenizer, name = load_tokenizer(path, template)
    precision = compute_dtype() if dtype is None else dtype
    options: dict[str, Any] = {
        "dtype": precision,
        "quantization_config": nf4(precision, double=double_quantisation) if four_bit else None,
        "use_safetensors": True,
    }
    model: Any
    if _spread_by_launcher():  # which hands most processes no weights
        model = cast(Any, AutoModelForCausalLM).from_pretrained(str(path), device_map=None, **options)
    else:
        model = load_weights(AutoModelForCausalLM, path, device_map={"": place or device()}, **options)
    if four_bit:
        keep_differentiable(model)
    model.eval()
    return Student(model, tokenizer, name, four_bit)


def _spread_by_launcher() -> bool:
    """Whether accelerate will spread the weights over devices by itself (FSDP, DeepSpeed)."""
    return any(os.environ.get(f"ACCELERATE_USE_{name}") == "true" for name in ("FSDP", "DEEPSPEED"))


def load_adapter(base: str | Path, folder: Path, *, four_bit: bool | None = None) -> Student:
    """The adapter in `folder` on `base`, in 4 bits if it was trained so; or the model there, if all of it was trained.

    `four_bit` says otherwise about the base.

    Raises ValueError when the base's tokenizer renders prompts otherwise than at training.
    """
    from peft import PeftModel

    recipe = Recipe.load(folder)
    where = folder if recipe.kind == "full" else base
    packed = recipe.kind == "qlora" if four_bit is None else four_bit
    student = load_student(where, four_bit=packed, template=wanted_template(recipe))
    try:
        found = template_version(student.tokenizer)
    except TemplateFault as fault:
        found = f"none that can be used ({fault})"
    if found != recipe.template_version:
        raise ValueError(
            f"the adapter in {folder} was trained with chat template and tokens {recipe.template_version}, but "
            f"{base} has {found}: train it again on this base, or load the base it was trained on"
        )
    if recipe.kind == "full":
        return student
    model = cast(Any, PeftModel).from_pretrained(student.model, str(folder))
    model.eval()
    return Student(model, student.tokenizer, student.template, student.four_bit)
