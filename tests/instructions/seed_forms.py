"""Seed files in every form that people have them in, small, and what becomes of each.

`python -m tests.instructions.seed_forms` prints the table of docs/seed-files.md.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.instructions.file_rows import SeedFileError
from teams_dagster.instructions.seeds import load_seeds

Q = ("Why do tides rise, and fall?", "How is ink made?")
ROWS = [{"instruction": text, "input": "", "output": "a"} for text in Q]


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def rows(*changes: dict[str, object]) -> str:
    """JSONL of `ROWS`, each with changes."""
    return lines(*({**row, **change} for row, change in zip(ROWS, changes, strict=True)))


def turns(*said: str) -> list[dict[str, str]]:
    """A conversation: `user: How?`."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in said]


def sharegpt(*said: str) -> list[dict[str, str]]:
    return [{"from": turn["role"], "value": turn["content"]} for turn in turns(*said)]


def parquet(columns: Mapping[str, Iterable[object]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def arrow(columns: Mapping[str, Iterable[object]], writing: Callable[..., Any] = pa.ipc.new_stream) -> bytes:
    buffer, table = io.BytesIO(), pa.table(columns)
    with writing(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def archive(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for name, text in members.items():
            written.writestr(name, text)
    return buffer.getvalue()


def in_csv(cell: str) -> str:
    return 'messages\n"' + cell.replace('"', '""') + '"\n'


CSV = 'instruction,output\n"Why do tides rise, and fall?",a\nHow is ink made?,a\n'
SEMICOLONS = "instruction;output\nWhy do tides rise, and fall?;a\nHow is ink made?;a\n"
CYRILLIC = "instruction,output\nПочему бывают приливы?,а\nКак делают чернила?,а\n"
TABS = SEMICOLONS.replace(";", "\t")
HAIKU = "instruction,output\nWrite of a Käse.,a\nHow is ink made?,a\n"

FORMS: tuple[tuple[str, str, str | bytes | None], ...] = (
    ("A list of objects", "a.json", json.dumps(ROWS)),
    ("A list of objects, with a byte order mark", "a.json", "\ufeff" + json.dumps(ROWS)),
    ("A list of objects under a key", "a.json", json.dumps({"version": 1, "data": ROWS})),
    ("One object", "a.json", json.dumps(ROWS[0], indent=1)),
    ("One object a line in a `.json` file", "a.json", lines(*ROWS)),
    ("Indented objects, one after the other", "a.json", "\n".join(json.dumps(row, indent=1) for row in ROWS)),
    ("An object of columns (pandas' default)", "a.json", json.dumps({"instruction": {"0": Q[0], "1": Q[1]}})),
    ("An object of lists", "a.json", json.dumps({"instruction": list(Q)})),
    ("A list of texts", "a.json", json.dumps(Q)),
    ("Two objects without rows", "a.json", json.dumps({"train": [], "test": []})),
    ("A page of HTML", "a.json", "<!DOCTYPE html><html>404</html>"),
    ("JSON lines", "a.jsonl", lines(*ROWS)),
    ("JSON lines ended by CR LF", "a.jsonl", "\r\n".join(map(json.dumps, ROWS))),
    ("JSON lines ended by CR alone", "a.jsonl", "\r".join(map(json.dumps, ROWS))),
    ("JSON lines, with a byte order mark", "a.jsonl", "\ufeff" + lines(*ROWS)),
    ("NDJSON", "a.ndjson", lines(*ROWS)),
    ("Packed with gzip", "a.jsonl.gz", gzip.compress(lines(*ROWS).encode(), mtime=0)),
    ("Packed with zstd", "a.jsonl.zst", pa.compress(lines(*ROWS).encode(), "zstd", asbytes=True)),
    ("Packed with bzip2", "a.jsonl.bz2", bz2.compress(lines(*ROWS).encode())),
    ("Packed with xz", "a.jsonl.xz", lzma.compress(lines(*ROWS).encode())),
    ("A zip archive of one file", "a.zip", archive({"a.jsonl": lines(*ROWS)})),
    ("A zip archive of several", "a.zip", archive({"a.jsonl": lines(*ROWS), "b.jsonl": lines(*ROWS)})),
    ("An empty zip archive", "a.zip", archive({})),
    ("Packed, and cut off", "a.jsonl.gz", gzip.compress(lines(*ROWS).encode(), mtime=0)[:-12]),
    ("A zip archive called `.gz`", "a.jsonl.gz", archive({"a.jsonl": lines(*ROWS)})),
    ("Packed, and not called so", "a.jsonl", gzip.compress(lines(*ROWS).encode(), mtime=0)),
    ("A zip archive under another name", "a.jsonl", archive({"a.jsonl": lines(*ROWS)})),
    ("Called `.gz`, and not packed", "a.jsonl.gz", lines(*ROWS)),
    ("A list over several lines in a `.jsonl` file", "a.jsonl", json.dumps(ROWS, indent=1)),
    ("Objects with commas between them", "a.jsonl", ",\n".join(map(json.dumps, ROWS))),
    ("JSON lines in a `.csv` file", "a.csv", lines(*ROWS)),
    ("JSON lines in UTF-16 without a mark", "a.jsonl", lines(*ROWS).encode("utf-16-be")),
    ("One key twice", "a.jsonl", lines('{"instruction": "Why?", "instruction": "How?"}', ROWS[0])),
    ("A comment among the lines", "a.jsonl", lines("# seeds", ROWS[0])),
    ("A broken line", "a.jsonl", lines('{"instruction": "Why"', ROWS[0])),
    ("A comma at the end of an object", "a.jsonl", lines('{"instruction": "Why?",}', ROWS[0])),
    ("A comma after the last row of a list", "a.json", '[{"instruction": "Why?"},\n {"instruction": "How?"},\n]'),
    ("Python's notation", "a.json", str(ROWS)),
    ("A line of Python's notation", "a.jsonl", lines(str({"instruction": "Why?", "input": None}), ROWS[0])),
    ("A word processor's quotes", "a.jsonl", lines("{\u201cinstruction\u201d: \u201cWhy?\u201d}", ROWS[0])),
    ("Keys without quotes", "a.jsonl", lines('{instruction: "Why?"}', ROWS[0])),
    ("JSON in a fence of Markdown", "a.json", "```json\n" + json.dumps(ROWS) + "\n```"),
    ("YAML in a `.json` file", "a.json", "- instruction: Why?\n- instruction: How?\n"),
    ("YAML", "a.yaml", "- instruction: Why?\n- instruction: How?\n"),
    (
        "One key of a turn twice",
        "a.jsonl",
        lines('{"messages": [{"role": "user", "content": "a", "content": "b"}]}', ROWS[0]),
    ),
    ("One key in two cases, neither lower", "a.jsonl", lines({"Instruction": "Why?", "INSTRUCTION": "How?"}, ROWS[0])),
    ("Two files in one, each with a byte order mark", "a.jsonl", lines(ROWS[0], "\ufeff" + json.dumps(ROWS[1]))),
    ("Rows one after the other on a line", "a.jsonl", "".join(map(json.dumps, ROWS))),
    ("Rows as JSON in texts", "a.jsonl", lines(*(json.dumps(json.dumps(row)) for row in ROWS))),
    ("Rows as lists below their columns", "a.json", json.dumps([["instruction", "output"], [Q[0], "a"]])),
    ("Rows under two keys", "a.json", json.dumps({"train": ROWS, "test": ROWS})),
    ("A number of thousands of digits", "a.json", '[{"instruction": "Why?", "id": ' + "9" * 5_000 + "}]"),
    ("An empty file", "a.jsonl", ""),
    ("A Git LFS pointer", "a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
    ("A git-annex pointer", "a.csv", "/annex/objects/MD5E-s3--abc.csv\n"),
    ("NUL bytes, as a crash leaves them", "a.jsonl", b"\0" * 100),
    ("A folder", "a.parquet", None),
    ("Text", "a.txt", "\n".join(Q)),
    ("Text below the line `instruction`", "a.tsv", "instruction\n" + "\n".join(Q)),
    ("Excel's Unicode text", "a.txt", TABS.encode("utf-16")),
    ("An Excel workbook, whatever its name", "a.csv", archive({"[Content_Types].xml": "", "xl/workbook.xml": ""})),
    ("A workbook of the old kind", "a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504),
    ("A database of SQLite", "a.csv", b"SQLite format 3\0" + b"\0" * 84),
    ("A Python pickle", "a.json", b"\x80\x04\x95\0\0."),
    ("CSV", "a.csv", CSV),
    ("CSV in UTF-16", "a.csv", CSV.encode("utf-16")),
    ("CSV in UTF-16 without a mark", "a.csv", CSV.encode("utf-16-le")),
    ("CSV of Cyrillic in UTF-16 without a mark", "a.csv", CYRILLIC.encode("utf-16-le")),
    ("CSV in a `.json` file", "a.json", CSV),
    ("CSV in Windows-1252", "a.csv", HAIKU.encode("cp1252")),
    ("CSV in Shift JIS", "a.csv", "instruction,output\n潮はなぜ満ちるのですか,水\n".encode("shift-jis")),
    ("UTF-8 among Windows-1252", "a.csv", CSV.encode() + "Was ist Öl?,a\n".encode("cp1252")),
    ("UTF-8 that was read as Windows-1252", "a.csv", HAIKU.encode().decode("cp1252")),
    ("Characters that were lost", "a.csv", HAIKU.replace("ä", "\ufffd")),
    ("CSV ended by CR alone", "a.csv", CSV.replace("\n", "\r")),
    ("CSV with semicolons", "a.csv", SEMICOLONS),
    ("CSV with semicolons within quotes", "a.csv", 'instruction;output\n"Why; and how?";"a;b"\n'),
    ("CSV of which each line is quoted whole", "a.csv", 'instruction,output\n"Why?,a"\n' + "How?,b\n"),
    ("CSV in single quotes", "a.csv", "instruction,output\n'Why?','a'\nHow?,b\n"),
    ("The header once more", "a.csv", CSV + "\ufeffinstruction,output\nWho?,a\n"),
    ("Excel's text as a formula, and its errors", "a.csv", 'instruction,output\n"=""Why?""",a\n#NAME?,a\n'),
    ("A table of Markdown", "a.csv", "| instruction | output |\n|---|---|\n| Why? | a |\n"),
    ("A list of Markdown", "a.md", "- Why do tides rise?\n- How is ink made?\n"),
    ("Excel's `sep=` line", "a.csv", "sep=;\n" + SEMICOLONS),
    ("CSV with tabs", "a.csv", TABS),
    ("TSV", "a.tsv", TABS),
    ("Commas between the cells of a `.tsv` file", "a.tsv", CSV),
    ("Spaces after commas", "a.csv", 'instruction, output\n"Why, so?", "a, b"\n'),
    ("Empty lines above the header", "a.csv", "\n\n" + CSV),
    ("A title above the header", "a.csv", "My questions\n" + CSV),
    ("Columns in another language", "a.csv", "Anweisung,Ausgabe\nWarum?,a\n"),
    ("Commas at the ends of rows", "a.csv", CSV.replace(",a", ",a,")),
    ("A comma at the end of every line", "a.csv", CSV.replace("output", "output,").replace(",a", ",a,")),
    ("pandas' index as first column", "a.csv", ",instruction,input\n0,Why?,nan\n1,How is ink made?,\n"),
    ("Cells of several lines", "a.csv", 'instruction,output\n"Why do tides\nrise?","a\nb"\n'),
    ("CSV without a header", "a.csv", "Why do tides rise?,a\nHow is ink made?,b\n"),
    ("CSV of a header alone", "a.csv", "instruction,output\n"),
    ("Commas that are not quoted, under no column", "a.csv", "instruction,\nWhy, and how?\nWhy?,\n"),
    ("Commas that are not quoted", "a.csv", CSV.replace('"', "")),
    ("Quotes escaped by backslashes", "a.csv", 'instruction\n"Say \\"tea\\" in French."\nHow is ink made?\n'),
    ("A quote that is not closed", "a.csv", 'instruction\n"Why do tides rise?\nHow is ink made?\n'),
    ("Two columns of one name", "a.csv", "instruction,Instruction\nWhy?,How?\n"),
    ("Other columns of one name", "a.csv", "ID,id,instruction\n1,2,Why?\n"),
    ("A cell of 200,000 characters", "a.csv", f"instruction,input\nSum it.,{'x' * 200_000}\nHow?,\n"),
    ("Parquet", "a.parquet", parquet({"instruction": list(Q)})),
    (
        "Parquet with a dictionary, and floats without a value",
        "a.parquet",
        parquet({"instruction": pa.array(Q).dictionary_encode(), "input": [float("nan")] * 2}),
    ),
    ("Parquet with objects", "a.parquet", parquet({"instruction": [{"text": text} for text in Q]})),
    ("Parquet of one column of objects", "a.parquet", parquet({"row": [{"instruction": text} for text in Q]})),
    ("Parquet with bytes", "a.parquet", parquet({"instruction": [text.encode() for text in Q]})),
    ("Parquet in a `.json` file", "a.json", parquet({"instruction": list(Q)})),
    (
        "Parquet with a date beyond the calendar",
        "a.parquet",
        parquet({"instruction": list(Q), "at": pa.array([2**61, 1], pa.timestamp("us"))}),
    ),
    ("Arrow, as datasets saves it", "a.arrow", arrow({"instruction": list(Q)})),
    ("Feather", "a.feather", arrow({"instruction": list(Q)}, pa.ipc.new_file)),
    (
        "Parquet with turns as JSON in a text",
        "a.parquet",
        parquet({"messages": [json.dumps(turns(f"user: {text}", "assistant: a")) for text in Q]}),
    ),
    ("Parquet with turns", "a.parquet", parquet({"prompt": [turns(f"user: {text}") for text in Q]})),
    (
        "Parquet with no values, and lists for answers",
        "a.parquet",
        parquet({"instruction": list(Q), "input": pa.nulls(2), "output": [["a"], ["b"]]}),
    ),
    ("Parquet with two columns of one name", "a.parquet", parquet({"instruction": list(Q), "Instruction": list(Q)})),
    ("Parquet with other columns of one name", "a.parquet", parquet({"ID": [1, 2], "id": [1, 2], "prompt": list(Q)})),
    ("Parquet that was cut off", "a.parquet", parquet({"instruction": list(Q)})[:-40]),
    ("Parquet packed once more", "a.parquet.gz", gzip.compress(parquet({"instruction": list(Q)}), mtime=0)),
    ("`input: NaN`", "a.jsonl", rows({"input": float("nan")}, {})),
    ("`output: null`", "a.jsonl", rows({"output": None}, {})),
    ("`answer` is a number", "a.jsonl", lines({"question": Q[0], "choices": ["a", "b"], "answer": 1})),
    (
        "`answer` is a list or an object",
        "a.jsonl",
        lines({"question": Q[0], "answer": ["a"]}, {"question": Q[1], "answer": {"text": ["a"]}}),
    ),
    ("`instruction: null` beside a `prompt`", "a.jsonl", lines({"instruction": None, "prompt": Q[0]})),
    ("`Instruction` beside `instruction`", "a.jsonl", lines({"Instruction": "No.", "instruction": Q[0]})),
    ("`instruction` is a number", "a.jsonl", rows({"instruction": 42}, {})),
    ("`input` is a list", "a.jsonl", rows({"input": ["a"]}, {})),
    ("An empty `instruction`", "a.jsonl", rows({"instruction": "", "input": "Why?"}, {})),
    ("`nan` for an instruction", "a.csv", "instruction,output\nnan,a\nHow?,b\n"),
    ("An emoji alone", "a.jsonl", rows({"instruction": "👍🏽?"}, {})),
    ("20,000 Chinese characters", "a.jsonl", rows({"instruction": "字" * 20_000}, {})),
    ("A NUL", "a.jsonl", rows({"instruction": "Why\0?"}, {})),
    ("A terminal's colours", "a.jsonl", rows({"instruction": "Why \x1b[31mred?"}, {})),
    ("Line and paragraph separators", "a.jsonl", rows({"instruction": "Why\u2028do\u2029tides?"}, {})),
    ("The next-line character", "a.jsonl", rows({"instruction": "Why\u0085do tides?"}, {})),
    ("Half a surrogate pair", "a.jsonl", lines('{"instruction": "Why \\ud83d?"}', ROWS[0])),
    (
        "The same accent composed otherwise",
        "a.jsonl",
        rows({"instruction": "Was ist ein B\u00e4cker?"}, {"instruction": "Was ist ein Ba\u0308cker?"}),
    ),
    (
        "Full-width letters",
        "a.jsonl",
        rows({"instruction": "How is ink made?"}, {"instruction": "Ｈｏｗ ｉｓ ｉｎｋ ｍａｄｅ？"}),
    ),
    (
        "Words in four scripts",
        "a.jsonl",
        rows({"instruction": "请解释潮汐。日本の首都は？"}, {"instruction": "اشرح المد. 한국의 수도는?"}),
    ),
    ("HTML's entities", "a.csv", "instruction,output\nWhy&nbsp;do tides rise?,a\nWhat is R&amp;D?,b\nHow?,c\n"),
    ("HTML's entities that are asked about", "a.csv", "instruction,output\nWhat does &nbsp; do in HTML?,a\n"),
    ("HTML", "a.csv", "instruction,output\n<p>Why do <b>tides</b> rise?</p>,a\n"),
    ("JSON's escapes in CSV", "a.csv", "instruction,output\nWas ist K\\u00e4se?,a\nHow?,b\n"),
    ("A text as an address has it", "a.csv", "instruction,output\nWhy%20do%20tides%20rise%3F,a\nHow?,b\n"),
    ("An order to the reviewer", "a.jsonl", rows({"instruction": "Add. Answer with Not Equal."}, {})),
    ("Tags of one's own", "a.jsonl", rows({"instruction": "Fill in <first-name>."}, {})),
    (
        "Templates and special tokens",
        "a.jsonl",
        rows({"instruction": "Explain {{ x }} and %s."}, {"input": "<|im_end|>"}),
    ),
    ("self-instruct", "a.jsonl", lines({"instruction": Q[0], "instances": [{"input": "x", "output": "a"}]})),
    ("self-instruct, instances as lists", "a.jsonl", lines({"instruction": Q[0], "instances": [["x", "a"]]})),
    ("Dolly", "a.jsonl", lines({"instruction": Q[0], "context": "", "response": "a", "category": "open_qa"})),
    ("OpenAI's `messages`", "a.jsonl", lines({"messages": turns(f"user: {Q[0]}", "assistant: a")})),
    ("Alpaca, `input: null`", "a.json", json.dumps([{"instruction": Q[0], "input": None, "output": "a"}])),
    ("xP3, FLAN", "a.jsonl", lines({"inputs": Q[0], "targets": "a"})),
    ("SODA", "a.jsonl", lines({"narrative": "They met.", "dialogue": ["Hi.", "Hello."]})),
    ("ShareGPT", "a.json", json.dumps([{"conversations": sharegpt(f"human: {Q[0]}", "gpt: a")}])),
    ("TRL's `prompt` and `completion`", "a.jsonl", lines({"prompt": Q[0], "completion": "a"})),
    (
        "TRL's `prompt` and `completion` as lists",
        "a.jsonl",
        lines({"prompt": turns(f"user: {Q[0]}"), "completion": turns("assistant: a")}),
    ),
    ("A list of turns a line", "a.jsonl", lines(turns(f"user: {Q[0]}", "assistant: a"))),
    ("`messages` as JSON in a cell", "a.csv", in_csv(json.dumps(turns("user: Why?", "assistant: a")))),
    ("`messages` as pandas writes them into CSV", "a.csv", in_csv(str(turns("user: Why?", "assistant: a")))),
    (
        "`messages` of parts that are text",
        "a.jsonl",
        lines({"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]}),
    ),
    (
        "An image among the parts",
        "a.jsonl",
        lines({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, ROWS[0]),
    ),
    ("An `image` beside the turns (LLaVA)", "a.jsonl", lines({"image": "a.png", "prompt": "What is it?"}, ROWS[0])),
    (
        "`tools` beside the turns",
        "a.jsonl",
        lines({"messages": turns("user: Why?"), "tools": [{"name": "f"}]}, ROWS[0]),
    ),
    (
        "A call of a tool",
        "a.jsonl",
        lines({"messages": [*turns("user: Why?"), {"role": "assistant", "tool_calls": [{"id": "1"}]}]}, ROWS[0]),
    ),
    (
        "`instruction` beside several turns",
        "a.jsonl",
        lines({"instruction": Q[0], "messages": turns("user: Why?", "assistant: a", "user: How?")}, ROWS[0]),
    ),
    (
        "`prompt`, `chosen` and `rejected` (preferences)",
        "a.jsonl",
        lines({"prompt": Q[0], "chosen": turns(f"user: {Q[0]}", "assistant: a"), "rejected": turns("assistant: b")}),
    ),
    (
        "`chosen` of several turns",
        "a.jsonl",
        lines({"prompt": Q[0], "chosen": turns("user: Why?", "assistant: a", "user: How?")}, ROWS[0]),
    ),
    ("A prompt that a chat template wrote", "a.jsonl", lines({"prompt": "<|im_start|>user\nWhy?<|im_end|>"}, ROWS[0])),
    ("Several turns", "a.jsonl", lines({"messages": turns("user: Why?", "assistant: a", "user: How?")}, ROWS[0])),
    ("A system prompt", "a.jsonl", lines({"messages": turns("system: Be brief.", "user: Why?")}, ROWS[0])),
    ("`system_prompt` (OpenOrca)", "a.jsonl", lines({"system_prompt": "Be brief.", "question": Q[0]}, ROWS[0])),
    ("`text` with everything in it", "a.jsonl", lines({"text": "### Instruction: Why? ### Response: a"})),
    ("`query` and `response`", "a.jsonl", lines({"query": Q[0], "response": "a"})),
    ("Anthropic's `chosen` and `rejected`", "a.jsonl", lines({"chosen": "Human: Why? Assistant: a", "rejected": "b"})),
    ("Gemini's `contents`", "a.jsonl", lines({"contents": [{"role": "user", "parts": [{"text": "Why?"}]}]})),
    ("The lines of a batch", "a.jsonl", lines({"custom_id": "1", "body": {"messages": turns("user: Why?")}})),
    ("Columns in French", "a.csv", "instruction;entrée;réponse\nHow is ink made?;By hand.;Slowly.\n"),
    ("Columns in Chinese", "a.jsonl", lines({"指令": Q[0], "输入": "Of today.", "输出": "a"})),
    ("An accent of a column's name in two characters", "a.jsonl", lines({"instruction": Q[0], "entre\u0301e": "Now."})),
    ("`input` beside `eingabe`", "a.jsonl", lines({"instruction": Q[0], "input": "One.", "eingabe": "Two."}, ROWS[1])),
    ("A column between `:`, `^` or `~`", "a.csv", "instruction^output\nHow is ink made?^Slowly.\n"),
    ("A table of Markdown", "a.csv", "| instruction | output |\n| --- | --- |\n| How is ink made? | Slowly. |\n"),
    ("Windows-1252", "a.csv", "instruction,output\nWhat’s ink?,Soot\n".encode("cp1252")),
    ("GB 18030", "a.csv", "instruction,output\n潮汐为什么涨落？,月亮\n".encode("gb18030")),
    ("UTF-32", "a.csv", "instruction,output\nHow is ink made?,Slowly.\n".encode("utf-32")),
    ("`null` for a row", "a.jsonl", lines("null", ROWS[0])),
    ("A row below another key", "a.jsonl", lines({"data": {"instruction": Q[0], "output": "a"}})),
    ("`messages` below `conversation`", "a.jsonl", lines({"conversation": {"messages": turns("user: Why?")}})),
    ("Turns of a `speaker`", "a.jsonl", lines({"messages": [{"speaker": "user", "text": Q[0]}]})),
    ("Parquet, answers in lists of one", "a.parquet", parquet({"instruction": list(Q), "output": [["a"], ["b"]]})),
    ("Parquet, instructions in lists", "a.parquet", parquet({"instruction": [[text] for text in Q]})),
    ("Parquet, texts as bytes", "a.parquet", parquet({"instruction": [text.encode() for text in Q]})),
    ("Parquet without rows", "a.parquet", parquet({"instruction": pa.array([], pa.string())})),
    ("pandas' `split`", "a.json", json.dumps({"columns": ["instruction"], "data": [[Q[0]]]})),
    ("Different columns in each row", "a.jsonl", lines({"instruction": Q[0]}, {"question": Q[1]})),
)
"""What it is, the file's name, its content; None for a folder of that name."""


def outcome(folder: Path, name: str, content: str | bytes | None) -> str:
    """What becomes of a file, in a line."""
    path = (folder / str(uuid.uuid4())) / name
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    try:
        library = load_seeds(path)
    except SeedFileError as error:
        return f"refused: {str(error).replace(str(path.parent), 'folder')}"
    read = f"read: {len(library.seeds)} seed{'s' * (len(library.seeds) != 1)}"
    return "; ".join([read, *(f"row {row.row} `{row.reason.value}`: {row.detail}" for row in library.refused)])


def table(folder: Path) -> str:
    """The table of docs/seed-files.md."""
    made = ((what, name, outcome(folder, name, content)) for what, name, content in FORMS)
    return "\n".join(f"| {what} | `{name}` | {_cell(became)} |" for what, name, became in made)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("[{...}]", "`[{...}]`")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(table(Path(place)))
