"""What tells two texts apart is what the one says and the other does not."""

from __future__ import annotations

import pytest

from teams_dagster.instructions.gist import gists

SEED = "Name three rivers. Say where they end."


@pytest.mark.parametrize(
    "edit",
    [
        "Dear assistant, could you please name three rivers. Say where they end. Thank you in advance!",
        "Say where they end. Name three rivers.",
        "**Name** ~~three~~ _rivers_. <i>Say</i> where they end.",
        "1. Name three rivers.\n2. Say where they end.",
        "N@me thr33 r1vers. $ay wh3re th3y 3nd.",
        "🏞️ Name three rivers. Say where they end. 🎉",
        "Na-me three ri·vers. Say where they e.nd.",
        "Name three rivers, three rivers. Say where they end. Name three rivers.",
    ],
    ids=["courtesy", "order", "markup", "numbers of a list", "digits", "emoji", "signs within", "again"],
)
def test_an_edit_that_adds_nothing_has_the_same_gist(edit: str) -> None:
    one, other = gists(SEED, edit)
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Name 3 fish.", "Name 4 fish."),
        ("Name a fish.", "Name 4 fish."),
        ("Say 👋.", "Say 🙏."),
        ("1 1 2", "1 2"),
        ("The dog bites the man.", "The man bites the dog."),
        ("Say año.", "Say año and ano."),
        ("Build a wall.", "Build a wail."),
    ],
)
def test_what_says_something_else_has_another(one: str, other: str) -> None:
    told, else_told = gists(one, other)
    assert told != else_told
