"""Property tests throw no dice in `make test`; the random search is `make soak`'s."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings

from tests.support.properties import SOAK_TIMES, example_count


def test_the_examples_of_an_ordinary_run_are_the_same_each_time_and_no_stopwatch_judges_them() -> None:
    assert settings().derandomize
    assert settings().deadline is None


def test_the_soak_searches_at_random_and_further_and_prints_what_reproduces_a_failure() -> None:
    soak = settings.get_profile("soak")
    assert not soak.derandomize
    assert soak.print_blob
    assert soak.max_examples == SOAK_TIMES * settings().max_examples


def test_the_soak_runs_the_property_tests_under_its_profile() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    recipe = makefile[makefile.index("\nsoak:") : makefile.index("\nbench:")]
    assert "-m hypothesis --hypothesis-profile soak" in recipe


def test_a_property_may_ask_for_fewer_examples_than_others() -> None:
    assert example_count(25) == 25
