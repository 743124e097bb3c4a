"""What tells two texts apart is what the one says and the other does not."""

from __future__ import annotations

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.reward import novelty
from teams_dagster.instructions import gist
from teams_dagster.instructions import novelty as measures
from teams_dagster.instructions.elimination import eliminate_rewrite
from teams_dagster.instructions.gist import gists
from teams_dagster.instructions.novelty import Pool

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


def test_a_text_is_read_once_however_many_it_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    rivers = [f"Name {number} rivers, and say where each of them ends." for number in range(20)]
    found: list[tuple[str, ...]] = []
    apart = gist._without_repeats  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(gist, "_without_repeats", lambda said: found.append(said) or apart(said))
    for edit in rivers[1:]:
        gists(rivers[0], edit)
    assert len(found) == len(rivers)


def test_an_edit_is_compared_with_each_text_of_its_chain_once(monkeypatch: pytest.MonkeyPatch) -> None:
    *chain, edit = (Instruction(f"Name {number} lakes, and say how deep each of them is.") for number in range(8))
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(measures, "gists", lambda a, b: compared.append((a, b)) or gists(a, b))
    eliminate_rewrite(edit, chain)
    novelty(edit, chain, Pool(()))
    assert sorted(compared) == sorted((edit.text, earlier.text) for earlier in chain)
