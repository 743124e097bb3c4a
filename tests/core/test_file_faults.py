"""What is wrong with a file that people wrote is one sentence, with the line that it is in."""

from __future__ import annotations

import pytest
import yaml
from pydantic import BaseModel, Field, ValidationError

from teams_dagster.core.file_faults import value_faults, yaml_fault, yaml_line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ops:\n\ttrained: {}\n", "line 2: found character '\\t' that cannot start any token"),
        ('ops:\n  a:\n    b: "paper\n', "line 4: found unexpected end of stream in what begins in line 3"),
        ("ops: {a: {b: 3}\n", "line 2: expected ',' or '}', but got '<stream end>' in what begins in line 1"),
        ("a: b: 3\n", "line 1: mapping values are not allowed here"),
        ("a: {}\n---\nb: {}\n", "line 2: but found another document in what begins in line 1"),
        ("x: *b\n", "line 1: found undefined alias 'b'"),
        ("a: !!python/object:os.system {}\n", "line 1: could not determine a constructor for the tag"),
        ('a: "\x07"\n', "special characters are not allowed"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_by_its_line(text: str, told: str) -> None:
    with pytest.raises(yaml.YAMLError) as raised:
        yaml.safe_load(text)
    said = yaml_fault(raised.value)
    assert told in said
    assert "\n" not in said


class Entry(BaseModel):
    """A part of a file."""

    name: str
    size: int = Field(ge=0)
    kind: str


class Content(BaseModel):
    """A file."""

    entries: list[Entry]


def faults_of(content: object) -> str:
    with pytest.raises(ValidationError) as raised:
        Content.model_validate(content)
    return value_faults(raised.value, lambda place: 7 if place[:2] == ("entries", 0) else None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"entries": [{}]}, "entries 1 (line 7) has no name, size, kind"),
        ({"entries": [{"name": "a", "size": 1, "kind": "b"}, {"size": 2}]}, "entries 2 has no name, kind"),
        ({}, "it has no entries"),
        ([], "it: Input should be a valid dictionary or instance of Content, and is []"),
        (
            {"entries": [{"name": "a", "size": -1, "kind": "b"}]},
            "entries 1, size (line 7): Input should be greater than or equal to 0, and is -1",
        ),
        (
            {"entries": [{"size": "x"}, {}, {}, {}, {}]},
            "entries 1, size (line 7): Input should be a valid integer, unable to parse string as an integer, and is"
            " 'x'; entries 1 (line 7) has no name, kind; entries 2 has no name, size, kind; and 3 more",
        ),
    ],
)
def test_values_that_do_not_fit_are_told_in_one_sentence(content: object, told: str) -> None:
    assert faults_of(content) == told


def test_a_long_value_is_shortened() -> None:
    assert len(faults_of({"entries": ["x" * 10_000]})) < 250


@pytest.mark.parametrize(
    ("place", "line"), [(("a",), 1), (("a", "b"), 2), (("a", "b", 1), 4), (("a", "c"), 1), ((), 1), (("z", 3), 1)]
)
def test_the_line_of_a_place_is_that_of_the_nearest_that_is_there(place: tuple[str | int, ...], line: int) -> None:
    assert yaml_line("a:\n  b:\n    - 1\n    - 2\n", place) == line


def test_the_line_of_a_place_in_no_yaml_is_unknown() -> None:
    assert yaml_line("a: [", ("a",)) is None
    assert yaml_line("", ("a",)) is None
