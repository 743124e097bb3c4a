"""What an instruction, its input and its answer stand under may be named in other languages, and is not dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.instructions.seeds import load_seeds


@pytest.mark.parametrize(
    ("material", "answer"),
    [
        ("entrée", "réponse"),
        ("Entree", "reponse"),
        ("entre\u0301e", "re\u0301ponse"),
        ("contexte", "sortie"),
        ("Eingabe", "Antwort"),
        ("EINGABE", "Ausgabe"),
        ("Kontext", "antwort"),
        ("entrada", "respuesta"),
        ("contexto", "salida"),
        ("entrada", "resposta"),
        ("entrada", "saída"),
        ("输入", "输出"),
        ("輸入", "輸出"),
        ("上下文", "回答"),
        ("入力", "出力"),
        ("입력", "출력"),
        ("ввод", "ответ"),
        ("contesto", "risposta"),
        ("invoer", "uitvoer"),
        ("inputs", "outputs"),
        ("input_text", "output_text"),
        ("Input Data", "Expected Answer"),
        ("passage", "target"),
        ("user_input", "model_output"),
        ("input", "ground_truth"),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_input_and_an_answer_are_read_in_other_languages(
    tmp_path: Path, material: str, answer: str, form: str
) -> None:
    cells = {"instruction": "How is ink made?", material: "By hand.", answer: "Slowly."}
    path = tmp_path / f"a.{form}"
    if form == "parquet":
        pq.write_table(pa.table({name: [cell] for name, cell in cells.items()}), path)
    elif form == "csv":
        path.write_text(";".join(cells) + "\n" + ";".join(cells.values()) + "\n", encoding="utf-8")
    else:
        path.write_text(json.dumps(cells), encoding="utf-8")
    (seed,) = load_seeds(path).seeds
    assert (seed.instruction.input, seed.response) == ("By hand.", "Slowly.")


@pytest.mark.parametrize("name", "Anweisung Frage Instrucción pregunta pergunta consigne 指令 问题 質問".split())
def test_an_instruction_is_read_in_other_languages(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"{name}\nHow is ink made?\n", encoding="utf-8")
    assert [seed.instruction.text for seed in load_seeds(tmp_path / "a.csv").seeds] == ["How is ink made?"]
