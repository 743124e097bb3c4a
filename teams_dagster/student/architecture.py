"""Whether a student writes text from left to right, with the weights that its configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModelForCausalLM

from teams_dagster.core.type_guards import is_dict
from teams_dagster.model_files import ModelFault
from teams_dagster.model_weights import check_headers
from teams_dagster.student.quiet import quieten_transformers
from teams_dagster.student.weights import StudentFault

OTHER_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMaskedLM")
"""How the names of architectures end whose models were trained to do something else than to write."""
QUANTISED = ("quantization_config", "compression_config", "quantization")
"""What a configuration says of packed weights: that of transformers, of older exports, and of MLX."""


@dataclass(frozen=True)
class Architecture:
    """What a student's configuration says of it."""

    vocabulary: int
    """Tokens that the model has embeddings of."""
    context: int | None
    """Tokens that it reads at most; None where the configuration names no limit."""


def check_architecture(student: str) -> Architecture:
    """Looks at the configuration of `student` (a folder or a hub id), and at the headers of a folder's weights.

    Raises StudentFault where it needs code of its own, does not write text, is quantised, or has other weights than
    its configuration says.
    """
    config = _configuration(student)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or _is_encoder(config):
        raise StudentFault(
            student,
            f"a {config.model_type} model, which does not write text from left to right: set it to a causal language"
            " model",
        )
    heads = [name for name in config.architectures or () if name.endswith(OTHER_HEADS)]
    if heads:
        raise StudentFault(student, f"a model trained as {heads[0]}: set it to a causal language model")
    _check_unquantised(student, config)
    if Path(student).is_dir():
        _check_headers(student)
    text = config.get_text_config()
    return Architecture(text.vocab_size, getattr(text, "max_position_embeddings", None))


def _configuration(student: str) -> Any:
    try:
        return cast(Any, AutoConfig).from_pretrained(student, trust_remote_code=False)
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise StudentFault(
                student,
                "which needs code of its own (`auto_map` in its config.json), and no such code is run: set it to a"
                " model of an architecture that transformers knows",
            ) from error
        if isinstance(error, OSError) and not Path(student).exists():
            raise not_found(student, error) from error
        raise StudentFault(
            student,
            f"whose configuration cannot be read ({first_line(error)}): set it to a folder"
            " with the config.json of a causal language model",
        ) from error


def _is_encoder(config: Any) -> bool:
    """Whether it reads a text as a whole (BERT), or as another model's input (T5, BART)."""
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "use_bidirectional_attention", False):
        return True
    masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING
    return masked and not getattr(config, "is_decoder", getattr(config, "causal", False))


def _check_unquantised(student: str, config: Any) -> None:
    """Raises StudentFault for weights of GPTQ, AWQ, bitsandbytes and their like."""
    packing = next((found for key in QUANTISED if (found := getattr(config, key, None))), None)
    if packing is None:
        return
    method = packing.get("quant_method") if is_dict(packing) else getattr(packing, "quant_method", None)
    raise StudentFault(
        student,
        f"whose weights are quantised{f' ({method})' if method else ''}: a student is trained from unquantised weights,"
        " which `qlora_model` packs to 4 bits itself. Set it to the model that these were made from",
    )


def _check_headers(folder: str) -> None:
    quieten_transformers()
    try:
        check_headers(folder, AutoModelForCausalLM)
    except ModelFault as fault:
        raise StudentFault(folder, fault.said) from fault
    except Exception as error:  # configurations of any kind, read by many classes
        raise StudentFault(
            folder, f"which transformers cannot load ({first_line(error)}): set it to another model"
        ) from error


def not_found(student: str, error: Exception) -> StudentFault:
    """What to say of a student that is neither a folder nor at the hub, by what transformers' `error` says of it."""
    return StudentFault(
        student,
        f"which is no folder, and no model of that name was found at the hub ({first_line(error)}): set it to a folder"
        " that exists, or to the name of a model at the hub",
    )


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
