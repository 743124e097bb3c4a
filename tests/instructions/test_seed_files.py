"""What each file format gives, and how a broken file says so."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teams_dagster.instructions.seed_files import SeedFileError, read_rows, texts_in
from tests.instructions.seed_forms import archive, arrow, parquet
from tests.support.properties import LOAD_IS_NO_FAILURE


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path) -> list:
    return [row.cells if row.cells is not None else row.broken for row in read_rows(path)]


TEA = [{"instruction": "How is tea, or mate, made?", "output": "a"}, {"instruction": "How is ink made?", "output": "b"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'instruction;output\r\n"How is tea, or mate, made?";a\r\nHow is ink made?;b\r\n'),
        ("a.csv", "instruction;output\nHow is tea, or mate, made?;a\nHow is ink made?;b\n"),
        ("a.csv", "sep=;\r\ninstruction;output\r\nHow is tea, or mate, made?;a\r\nHow is ink made?;b\r\n"),
        ("a.csv", "instruction\toutput\nHow is tea, or mate, made?\ta\nHow is ink made?\tb\n"),
        ("a.tsv", "instruction\toutput\nHow is tea, or mate, made?\ta\nHow is ink made?\tb\n"),
        ("a.csv", 'instruction,output\n"How is tea, or mate, made?",a,\nHow is ink made?,b,\n'),
        ("a.csv", 'instruction,output\n"How is tea, or mate, made?",a\nHow is ink made?,b\n'.encode("utf-16")),
        ("a.csv", 'instruction,output\n"How is tea, or mate, made?",a\nHow is ink made?,b\n'.encode("utf-16-le")),
        ("a.csv", 'instruction,output\n"How is tea, or mate, made?",a\nHow is ink made?,b\n'.encode("utf-16-be")),
        ("a.ndjson", "\n".join(map(json.dumps, TEA))),
        ("a.jsonl", "\r".join(map(json.dumps, TEA))),
        ("a.jsonl.gz", gzip.compress("\n".join(map(json.dumps, TEA)).encode())),
        ("a.json.zst", pa.compress(json.dumps(TEA).encode(), "zstd", asbytes=True)),
        ("a.json", json.dumps({"version": 1, "data": TEA})),
        ("a.json", "\n".join(json.dumps(row, indent=2) for row in TEA)),
        ("a.jsonl", gzip.compress("\n".join(map(json.dumps, TEA)).encode())),
        ("a.jsonl.bz2", bz2.compress("\n".join(map(json.dumps, TEA)).encode())),
        ("a.zip", archive({"a.jsonl": "\n".join(map(json.dumps, TEA)), "__MACOSX/._a.jsonl": "x"})),
        ("a.jsonl", json.dumps(TEA, indent=1)),
        ("a.csv", json.dumps(TEA)),
        ("a.json", 'instruction,output\n"How is tea, or mate, made?",a\nHow is ink made?,b\n'),
        ("a.csv", parquet({"instruction": [row["instruction"] for row in TEA], "output": ["a", "b"]})),
        ("a.arrow", arrow({"instruction": [row["instruction"] for row in TEA], "output": ["a", "b"]})),
        ("a.csv", 'instruction, output\n"How is tea, or mate, made?", a\nHow is ink made?, b\n'),
        ("a.tsv", 'instruction;output\n"How is tea, or mate, made?";a\nHow is ink made?;b\n'),
        ("a.jsonl", "\n".join(map(json.dumps, TEA)).encode("utf-16-be")),
        ("a.csv", 'instruction,output\n"How is tea, or mate, made?",a\nHow is ink made?,b\n'.encode("utf-32-le")),
    ],
    ids=[
        *("semicolons", "semicolons and commas", "sep", "tabs", "tsv", "comma at the end", "utf-16", "utf-16-le"),
        *("utf-16-be", "ndjson", "carriage returns", "gzip", "zstd", "list under a key", "stacked objects"),
        *("gzip by content", "bzip2", "zip", "list in jsonl", "json in csv", "csv in json", "parquet in csv", "arrow"),
        *("spaces after commas", "semicolons in tsv", "jsonl in utf-16-be", "utf-32"),
    ],
)
def test_files_are_read_as_people_have_them(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert cells(write(tmp_path, name, content)) == TEA


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Почему бывают приливы?", "写一首关于一个秋天的诗，一共一百字", "なぜ潮は満ちるのか"])
def test_utf_16_without_a_mark_is_told_in_any_script(tmp_path: Path, text: str, encoding: str) -> None:
    path = write(tmp_path, "a.csv", f"instruction,output\n{text},a\n".encode(encoding))
    assert cells(path) == [{"instruction": text, "output": "a"}]


def test_one_stray_nul_is_not_utf_16(tmp_path: Path) -> None:
    assert cells(write(tmp_path, "a.csv", b"instruction\na\0b\n")) == [{"instruction": "a\0b"}]


def test_a_list_of_texts_is_one_of_instructions(tmp_path: Path) -> None:
    assert cells(write(tmp_path, "a.json", '["How?", "Why?"]')) == [{"instruction": "How?"}, {"instruction": "Why?"}]


def test_a_cell_that_python_cannot_hold_costs_no_row_where_nobody_reads_it(tmp_path: Path) -> None:
    times = pa.array([2**61], pa.timestamp("us"))
    path = write(tmp_path, "a.parquet", parquet({"instruction": ["How?"], "at": times}))
    assert cells(path) == [{"instruction": "How?", "at": None}]
    assert list(texts_in(path)) == ["How?"]


def test_a_cell_under_no_column_is_not_dropped(tmp_path: Path) -> None:
    (found,) = cells(write(tmp_path, "a.csv", "instruction,\nWhy, and how?\n"))
    assert "' and how?' stands under no column" in found


def test_one_object_is_a_row(tmp_path: Path) -> None:
    assert cells(write(tmp_path, "a.json", json.dumps(TEA[0], indent=2))) == TEA[:1]


def test_of_names_that_differ_in_case_the_lower_case_one_counts(tmp_path: Path) -> None:
    row = {"Instruction": "wrong", "instruction": "right", "INPUT": "x"}
    assert cells(write(tmp_path, "a.jsonl", json.dumps(row))) == [{"instruction": "right", "input": "x"}]


def test_columns_that_nobody_reads_may_have_one_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ID": [1], "id": [2], "instruction": ["How?"]}), tmp_path / "a.parquet")
    assert cells(tmp_path / "a.parquet")[0]["instruction"] == "How?"
    assert cells(write(tmp_path, "a.csv", "ID,id,instruction\n1,2,How?\n"))[0]["instruction"] == "How?"


ROWS = [{"instruction": "Name a tree.", "input": ""}, {"instruction": "Count these.", "input": 'a, b\nc "d"'}]


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"seeds.{suffix}"
    if suffix == "json":
        path.write_text(json.dumps(ROWS))
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif suffix == "csv":
        path.write_text('instruction,input\nName a tree.,\nCount these.,"a, b\nc ""d"""\n')
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert cells(path) == ROWS
    assert [row.row for row in read_rows(path)] == [1, 2]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    assert cells(write(tmp_path, "a.csv", "\ufeffInstruction \nName a tree.\n")) == [{"instruction": "Name a tree."}]


def test_a_json_file_with_one_object_a_line_is_read_as_such(tmp_path: Path) -> None:
    assert cells(write(tmp_path, "a.json", '{"instruction": "x"}\n{"instruction": "y"}\n')) == [
        {"instruction": "x"},
        {"instruction": "y"},
    ]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_number_of_thousands_of_digits_in_a_column_that_nobody_reads_costs_no_row(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, '{"instruction": "How is tea made?", "id": ' + "9" * 5_000 + "}")
    assert [row["instruction"] for row in cells(path)] == ["How is tea made?"]


def test_a_broken_jsonl_line_is_one_broken_row(tmp_path: Path) -> None:
    lines = ['{"a": 1}', "{broken", "[1]", "[" * 100_000, "", '{"a": 2}']
    found = list(read_rows(write(tmp_path, "a.jsonl", "\n".join(lines) + "\n\n")))
    assert [row.cells for row in found] == [{"a": 1}, None, None, None, {}, {"a": 2}]
    assert [row.row for row in found] == [1, 2, 3, 4, 5, 6]
    assert "not valid JSON" in found[1].broken
    assert "not list" in found[2].broken


def test_an_unclosed_quote_in_a_csv_swallows_no_other_row(tmp_path: Path) -> None:
    text = 'instruction,input\nOne,a\n"Two,b\nThree,c\n"Four, too",d\nFive,"e\ne"\n'
    found = list(read_rows(write(tmp_path, "a.csv", text)))
    good = [row.cells["instruction"] for row in found if row.cells is not None]
    assert good == ["One", "Three", "Four, too", "Five"]
    assert found[-1].cells == {"instruction": "Five", "input": "e\ne"}
    assert [row.row for row in found if row.cells is None] == [2]


def test_an_unclosed_quote_before_the_end_of_a_csv_is_one_broken_row(tmp_path: Path) -> None:
    found = cells(write(tmp_path, "a.csv", 'instruction\nOne\n"Two\nThree\n'))
    assert found[0] == {"instruction": "One"}
    assert "not closed" in found[1]
    assert found[2] == {"instruction": "Three"}


def test_a_stray_quote_that_pairs_with_one_of_a_later_row_swallows_nothing_between(tmp_path: Path) -> None:
    found = cells(write(tmp_path, "a.csv", 'instruction,input\n"One,x\nTwo,y\nThree of 5",b,c\n'))
    assert found[1] == {"instruction": "Two", "input": "y"}
    assert "line 2" in found[0]
    assert "line 4: 3 cells" in found[2]


def test_a_csv_row_with_too_many_cells_is_broken_and_one_with_too_few_is_filled(tmp_path: Path) -> None:
    found = cells(write(tmp_path, "a.csv", "instruction,input\nOne,a,b\nTwo\n\nThree,c\n"))
    assert "3 cells under 2 columns" in found[0]
    assert found[1:] == [{"instruction": "Two", "input": ""}, {}, {"instruction": "Three", "input": "c"}]


def test_a_csv_cell_may_be_longer_than_pythons_default_limit(tmp_path: Path) -> None:
    assert len(cells(write(tmp_path, "a.csv", "instruction\n" + "x" * 300_000 + "\nTwo\n"))) == 2


def test_a_parquet_cell_that_is_not_utf8_is_one_broken_row(tmp_path: Path) -> None:
    data = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
    text = pa.StringArray.from_buffers(3, data.buffers()[1], data.buffers()[2])
    pq.write_table(pa.table({"instruction": text}), tmp_path / "a.parquet")
    assert cells(tmp_path / "a.parquet") == [{"instruction": "good"}, "a cell is not UTF-8", {"instruction": "fine"}]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "x", "suffix '.txt'"),
        ("a.json", "", "is empty"),
        ("a.json", '[{"instruction": "x"},\n {"instruction": }]', "line 2"),
        ("a.json", '"text"', "not a list"),
        ("a.json", '{\n "data": []\n}', "holds a dict, not a list"),
        ("a.csv", "input,instruction,Input\na,b,c\n", "'input' appears twice"),
        ("a.csv", "How is tea made?,a\nHow is ink made?,b\n", "'how is tea made?' is no name of a column"),
        ("a.csv.gz", b"instruction", "cannot be unpacked as gzip"),
        ("a.parquet.gz", b"", "Parquet compresses by itself"),
        ("a.gz", b"", "suffix '.gz'"),
        ("a.json", '{"instruction": ["x", "y"], "input": ["", ""]}', "columns, not rows"),
        ("a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        ("a.csv", '"text\n', "header"),
        ("a.jsonl", "text".encode("utf-16") + b"\0", "damaged UTF-16"),
        ("a.parquet", b"PAR1 but no more", "not a readable Parquet file"),
        ("a.csv", archive({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "an Excel workbook: save"),
        ("a.zip", archive({"a.csv": "", "b.csv": ""}), "2 files (a.csv, b.csv)"),
        ("a.jsonl", b"BZh91AY&SY" + b"x" * 40, "cannot be unpacked as bzip2"),
        ("a.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        ("a.jsonl", "<!DOCTYPE html>\n<html></html>", "a page of HTML"),
        ("a.csv", b"SQLite format 3\0" + b"\0" * 84, "an SQLite database"),
        ("a.jsonl", b"\0" * 100, "NUL bytes"),
        ("a.csv", "My questions\ninstruction,output\nHow?,a\n", "line 2 does: remove the lines above"),
        ("a.csv", "instruction^output\nHow, so?^a\n", "'instruction^output'"),
        ("a.csv", "instruction,output\nHow?,a\n".encode("utf-16-le") + b"\n", "damaged UTF-16-LE"),
        ("a.txt", "How, so?\nWhy?\n", "call it .tsv"),
    ],
)
def test_a_file_broken_as_a_whole_is_an_error_that_names_it(tmp_path: Path, name: str, content, says: str) -> None:
    with pytest.raises(SeedFileError) as error:
        list(read_rows(write(tmp_path, name, content)))
    assert name in str(error.value)
    assert says in str(error.value)


def test_a_missing_file_and_a_folder_are_errors_that_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(SeedFileError, match=r"nowhere\.json does not exist.*TEAMS_SEEDS"):
        read_rows(tmp_path / "nowhere.json")
    with pytest.raises(SeedFileError, match="is a folder"):
        read_rows(tmp_path)
    (tmp_path / "dead.csv").symlink_to("gone.csv")
    with pytest.raises(SeedFileError, match=r"a link to gone\.csv, which does not exist"):
        read_rows(tmp_path / "dead.csv")


def test_a_folder_that_datasets_saved_names_its_tables(tmp_path: Path) -> None:
    write(tmp_path, "dataset_info.json", "{}")
    write(tmp_path, "data-00000-of-00001.arrow", b"")
    with pytest.raises(SeedFileError, match=r"that datasets saved, which holds data-00000-of-00001\.arrow: name one"):
        read_rows(tmp_path)


MMLU = '"Which gas do plants take in, by day?",Oxygen,Helium,Neon,Carbon dioxide,D\n"What is 2+2?",4,4,3,5,A\n'


def test_the_first_row_of_an_evaluation_set_without_a_header_is_not_lost(tmp_path: Path) -> None:
    found = list(texts_in(write(tmp_path, "mmlu.csv", MMLU)))
    assert "Which gas do plants take in, by day?" in found
    assert "What is 2+2?" in found
    assert list(texts_in(write(tmp_path, "sums.csv", "2+2,4\n3+3,6\n")))[:2] == ["2+2", "4"]


def test_a_short_first_question_is_not_taken_for_a_header(tmp_path: Path) -> None:
    rows = "Capital of France,Paris,Oslo,Bern,Rome,A\nHighest mountain,K2,Everest,Elbrus,Fuji,B\n"
    assert "Capital of France" in list(texts_in(write(tmp_path, "mmlu.csv", rows)))


def test_texts_of_an_evaluation_set_are_not_cut_at_their_commas(tmp_path: Path) -> None:
    rows = "Was ist, bitte, Tee?;a\nWie geht, wenn man fragt, das?;b\n"
    assert "Was ist, bitte, Tee?" in list(texts_in(write(tmp_path, "fragen.csv", rows)))
    lines = "What is 2, or 3?\nWho is it, then?\n"
    assert list(texts_in(write(tmp_path, "one.tsv", lines))) == ["What is 2, or 3?", "Who is it, then?"]


def test_a_question_that_stands_where_a_name_would_is_a_text_of_an_evaluation_set(tmp_path: Path) -> None:
    """pandas takes the first row of a file without a header for the names of its columns."""
    first, second = "What is the capital of France?", "Which of these metals would melt first"
    table = tmp_path / "mmlu.parquet"
    pq.write_table(pa.table({first: ["Who?", "Why?"], "Paris": ["a", "b"]}), table)
    assert list(texts_in(table)) == [first.lower(), "Who?", "a", "Why?", "b"]
    found = list(texts_in(write(tmp_path, "mmlu.json", json.dumps([{first: {second: "a", "answer": "b"}}]))))
    assert found == [first.lower(), second, "a", "b"]


def test_an_evaluation_set_may_be_a_list_of_texts_or_a_packed_table(tmp_path: Path) -> None:
    assert list(texts_in(write(tmp_path, "a.json", '["Who?", "Why?"]'))) == ["Who?", "Why?"]
    assert list(texts_in(write(tmp_path, "a.zip", archive({"a.csv": "question\nWho?\n"})))) == ["Who?"]
    assert list(texts_in(write(tmp_path, "a.arrow", arrow({"question": ["Who?"]})))) == ["Who?"]


def test_the_names_of_columns_are_no_evaluation_texts(tmp_path: Path) -> None:
    assert list(texts_in(write(tmp_path, "a.csv", "question,A,B,answer\nWho?,x,y,B\n"))) == ["Who?", "x", "y", "B"]


def test_evaluation_texts_are_all_texts_of_all_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"question": "q", "n": 3, "choices": ["a", {"text": "b"}]}\n')
    assert list(texts_in(path)) == ["q", "a", "b"]


def test_a_broken_row_of_an_evaluation_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SeedFileError, match=r"a\.jsonl, row 2"):
        list(texts_in(write(tmp_path, "a.jsonl", '{"question": "q"}\n{broken\n')))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "Who?", "id": 1, "note": "Why?", "note": "How?"}'),
        ("a.jsonl", '{"Note": "Who?", "note": "Why?", "NOTE": "How?"}'),
        ("a.jsonl", '{"item": {"note": "Who?", "note": "Why?", "note": "How?"}}'),
        ("a.parquet", parquet({"note": ["Who?"], "NOTE": ["Why?"], "Note": ["How?"]})),
        (
            "a.parquet",
            parquet({"note": pa.array([[("Who?", "Why?"), ("How?", None)]], pa.map_(pa.string(), pa.string()))}),
        ),
        ("a.parquet", parquet({"note": [b"Who?"], "more": [b"Why?"], "last": ["How?"]})),
    ],
)
def test_no_text_of_an_evaluation_set_is_lost_to_another(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert sorted(texts_in(write(tmp_path, name, content))) == ["How?", "Who?", "Why?"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", '{"question": "q"}\n{"question": "Why?", "question": "How?"}', "row 2: .*'question' appears twice"),
        ("a.csv", "question\nWas ist Käse?\n".encode("cp1252"), "row 1: .*not UTF-8"),
        ("a.csv", "question\n潮はなぜ満ちる\n".encode("shift-jis"), "row 1: .*not UTF-8"),
        ("a.parquet", parquet({"question": ["Käse?".encode("cp1252")]}), "row 1: .*not UTF-8"),
        ("a.parquet", parquet({"question": pa.array([], pa.string())}), "holds no text"),
        ("a.jsonl", '{"id": 1}\n{"id": 2}', "holds no text"),
        ("a.csv", "question,answer\n", "holds no text"),
    ],
)
def test_an_evaluation_set_that_could_keep_nothing_out_is_an_error(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(SeedFileError, match=rf"^{name}.*{says}"):
        list(texts_in(write(tmp_path, name, content)))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\",\n\r\t;'"), max_size=20)


@settings(suppress_health_check=[*LOAD_IS_NO_FAILURE, HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_whatever_a_csv_writer_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    rows.append(("the", "end"))
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("instruction", "input"), *rows])
    assert cells(path) == [{"instruction": a, "input": b} for a, b in rows]
