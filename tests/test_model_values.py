"""Weights that are no finite numbers are found in whatever form they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from teams_dagster.model_files import ADAPTER, ADAPTER_WEIGHTS, INDEX, ModelFault
from teams_dagster.model_values import check_values


def with_one(value: float, dtype: torch.dtype) -> torch.Tensor:
    weights = torch.ones(3, 5)
    weights[1, 2] = value
    return weights.to(dtype)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_weight_that_is_not_finite_is_named(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    save_file({"a": torch.ones(2), "b": with_one(value, dtype)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelFault, match=r"where b in model\.safetensors holds NaN or infinity.*download it again"):
        check_values(tmp_path)


def test_weights_of_eight_bits_are_looked_at_too(tmp_path: Path) -> None:
    save_file({"b": with_one(float("nan"), torch.float8_e4m3fn)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelFault, match="where b in"):
        check_values(tmp_path)


def test_every_file_of_several_is_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "1.safetensors")
    save_file({"b": with_one(float("nan"), torch.float32)}, tmp_path / "2.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}))
    with pytest.raises(ModelFault, match=r"where b in 2\.safetensors"):
        check_values(tmp_path)


def test_of_an_adapter_its_own_weights_are_read(tmp_path: Path) -> None:
    (tmp_path / ADAPTER).write_text("{}")
    save_file({"lora_A": with_one(float("inf"), torch.float32)}, tmp_path / ADAPTER_WEIGHTS)
    with pytest.raises(ModelFault, match=f"where lora_A in {ADAPTER_WEIGHTS}"):
        check_values(tmp_path)


@pytest.mark.parametrize(
    "packing", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "F16"]
)
def test_a_scale_of_packed_weights_that_is_not_finite_is_named(tmp_path: Path, packing: str) -> None:
    """The places of the scales are those where gguf's own unpacking meets them."""
    kind = gguf.GGMLQuantizationType[packing]
    values, size = gguf.GGML_QUANT_SIZES[kind]
    rows = np.zeros((2, 256 // values * size), np.uint8)
    sound = rows.view(np.float16) if packing == "F16" else rows
    check_values(written(tmp_path / "sound.gguf", sound, kind))
    named = 0
    for at in range(0, size, 2):
        spoilt = rows.copy()
        spoilt[1, at : at + 2] = np.frombuffer(np.float16(np.nan).tobytes(), np.uint8)
        unpacked = gguf.dequantize(spoilt.view(np.float16) if packing == "F16" else spoilt, kind)
        if np.isfinite(unpacked).all():
            continue
        file = written(tmp_path / f"{at}.gguf", spoilt.view(np.float16) if packing == "F16" else spoilt, kind)
        with pytest.raises(ModelFault, match=f"where w in {file.name} holds NaN"):
            check_values(file)
        named += 1
    assert named


def written(file: Path, data: np.ndarray, kind: gguf.GGMLQuantizationType) -> Path:
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_tensor("w", data, raw_dtype=None if data.dtype == np.float16 else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_finite_weights_whole_numbers_and_a_hub_id_are_no_fault(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2), "n": torch.arange(3), "none": torch.ones(0)}, tmp_path / "model.safetensors")
    before = torch.get_num_threads()
    check_values(tmp_path)
    check_values("owner/model")
    assert torch.get_num_threads() == before
