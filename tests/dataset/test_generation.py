from dataclasses import replace

import pytest

from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.dataset.generation import (
    FRESH_STRIDE,
    GenerationChanged,
    GenerationManifest,
    PolicyFromOtherModels,
    check_continuable,
    check_trained_for,
    choose_seeds,
    replicas_for,
)

RULES = ModelIdentity("offline", "rules", rules_version="r1")


def manifest(partition: str, seeds: dict[str, int]) -> GenerationManifest:
    return GenerationManifest(
        partition_key=partition,
        policy_version="p1",
        seeds_version="s1",
        replicas=tuple(seeds.items()),
        prompt_versions=(("breadth", "b1"),),
        models=(("expert", RULES),),
        root_seed=17,
    )


def test_a_manifest_survives_json_unchanged():
    written = manifest("2026-01-05", {"a": 0, "b": 2})
    read = GenerationManifest.from_json(written.to_json())
    assert read == written
    assert read.version == written.version


def test_every_seed_belongs_to_a_generation_that_asks_for_more_than_there_are():
    assert choose_seeds(["b", "a"], 10, 17, "2026-01-05") == ("a", "b")


def test_a_seed_added_to_the_file_displaces_at_most_one_other():
    seeds = [f"seed-{number}" for number in range(50)]
    before, after = (set(choose_seeds(ids, 20, 17, "2026-01-05")) for ids in (seeds, [*seeds, "new"]))
    assert len(before - after) <= 1


def test_two_generations_draw_different_seeds():
    seeds = [f"seed-{number}" for number in range(50)]
    assert choose_seeds(seeds, 20, 17, "2026-01-05") != choose_seeds(seeds, 20, 17, "2026-01-12")


def test_weekly_generations_in_their_order_count_up():
    others = [manifest("2026-01-05", {"a": 0}), manifest("2026-01-12", {"a": 1, "b": 0})]
    assert replicas_for(["b", "a", "c"], others, 0, own={}) == (("a", 2), ("b", 1), ("c", 0))


def test_a_generation_that_is_made_late_uses_no_replica_of_a_later_one():
    later = manifest("2026-02-02", {"a": 0})
    assert replicas_for(["a"], [later], 0, own={}) == (("a", 1),)


def test_a_generation_that_is_begun_again_keeps_its_replicas():
    others = [manifest("2026-01-12", {"a": 1})]
    assert replicas_for(["a", "b"], others, 0, own={"a": 0}) == (("a", 0), ("b", 0))


def test_fresh_moves_every_replica_beyond_what_any_partition_uses():
    assert replicas_for(["a"], [], 2, own={"a": FRESH_STRIDE}) == (("a", 2 * FRESH_STRIDE),)


def test_an_unfinished_generation_is_not_continued_with_another_prompt_or_model():
    begun = manifest("2026-01-05", {"a": 0})
    check_continuable(begun, {"breadth": "b1"}, {"expert": RULES})
    with pytest.raises(GenerationChanged, match=r"prompt breadth: b1 -> b2.*fresh: true"):
        check_continuable(begun, {"breadth": "b2"}, {"expert": RULES})
    with pytest.raises(GenerationChanged, match="model of expert"):
        check_continuable(begun, {"breadth": "b1"}, {"expert": ModelIdentity("openai", "m")})


def test_a_policy_trained_with_rules_does_not_steer_language_models_unless_somebody_says_so():
    real = ModelIdentity("openai", "m")
    check_trained_for(trained=(RULES, RULES), used=(RULES, RULES), allowed=False)
    check_trained_for(trained=(RULES, RULES), used=(real, real), allowed=True)
    with pytest.raises(PolicyFromOtherModels, match=r"offline/rules.*openai/m.*foreign_policy"):
        check_trained_for(trained=(RULES, RULES), used=(real, real), allowed=False)


def test_a_generation_without_a_forced_schedule_is_written_as_it_always_was():
    """So that the version of one that was begun before there was one stays."""
    plain = manifest("2026-01-05", {"a": 0})
    forced = replace(plain, forced_schedule=True)
    assert "forced_schedule" not in plain.to_json()
    assert GenerationManifest.from_json(forced.to_json()) == forced
    assert forced.version != plain.version
