"""What gets into the dataset, what does not, and why."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.curation import Curated, DroppedSample, DropReason, canonical_order, curate
from teams_dagster.dataset.sample import Example, Sample
from teams_dagster.instructions.near_duplicates import near_duplicate
from teams_dagster.instructions.seed_splits import split_of
from teams_dagster.instructions.signatures import StoredSignatures, store_signatures
from tests.support.properties import example_count

WORDS = tuple(f"word{k}" for k in range(40))


def text(start: int, length: int = 20) -> str:
    return " ".join(f"t{start}w{k}" for k in range(length))


def sample(
    sample_id: str,
    instruction: str = "",
    *,
    material: str = "",
    response: str | None = "An answer.",
    seed_id: str = "seed",
    partition_key: str = "2026-01-05",
    step: int = 0,
    reason: str | None = None,
) -> Sample:
    return Sample(
        sample_id=sample_id,
        transition_id=f"transition {sample_id}",
        episode_id="episode",
        step=step,
        partition_key=partition_key,
        seed_id=seed_id,
        instruction=Instruction(instruction or text(step), material),
        response=response,
        respond_request_id=None,
        accepted=reason is None,
        reason=reason,
    )


def kept(curated: Curated) -> list[str]:
    return [example.sample_id for example in curated.examples]


def told(curated: Curated) -> tuple[list[Example], tuple[DroppedSample, ...]]:
    return list(curated.examples), curated.dropped


def drops(curated: Curated) -> dict[str, tuple[str, str | None]]:
    return {drop.sample_id: (drop.reason, drop.duplicate_of) for drop in curated.dropped}


def test_a_clean_new_sample_becomes_an_example() -> None:
    (example,) = curate([sample("a", "Add.", material="1 + 1", response="2")], evaluation_texts=()).examples
    assert (example.sample_id, example.seed_id, example.response) == ("a", "seed", "2")
    assert example.instruction == Instruction("Add.", "1 + 1")


def test_a_refused_sample_keeps_its_own_reason() -> None:
    curated = curate([sample("a", response=None, reason="answer_too_short")], evaluation_texts=())
    assert drops(curated) == {"a": ("answer_too_short", None)}


def test_an_instruction_repeated_but_for_case_is_an_exact_duplicate_of_the_first() -> None:
    curated = curate([sample("a", "Name a tree."), sample("b", "name  a TREE.", step=1)], evaluation_texts=())
    assert kept(curated) == ["a"]
    assert drops(curated) == {"b": (DropReason.EXACT_DUPLICATE, "a")}


def test_one_changed_word_in_many_is_a_near_duplicate() -> None:
    curated = curate([sample("a", text(1, 30)), sample("b", text(1, 30) + " more", step=1)], evaluation_texts=())
    assert drops(curated) == {"b": (DropReason.NEAR_DUPLICATE, "a")}


@pytest.mark.parametrize("length", [8, 20, 60, 150, 400])
def test_a_parent_and_its_honest_child_are_both_kept(length: int) -> None:
    parent = sample("a", text(1, length), material=text(9, 200))
    child = sample("b", text(1, length) + " " + text(2, 10), material=text(9, 200), step=1)
    assert kept(curate([parent, child], evaluation_texts=())) == ["a", "b"]


CONTAMINATION = f"Now: {' '.join(WORDS[5:18])}."


@pytest.mark.parametrize(
    "dirty",
    [sample("a", CONTAMINATION), sample("a", material=CONTAMINATION), sample("a", response=CONTAMINATION)],
    ids=["instruction", "input", "response"],
)
def test_thirteen_words_of_an_evaluation_text_anywhere_are_contamination(dirty: Sample) -> None:
    clean = sample("b", "Name a tree.", response=" ".join(WORDS[:12]), step=1)
    curated = curate([dirty, clean], evaluation_texts=(" ".join(WORDS),))
    assert kept(curated) == ["b"]
    assert drops(curated) == {"a": (DropReason.CONTAMINATED, None)}


def test_a_contaminated_sample_shadows_no_clean_one() -> None:
    dirty = sample("a", "Name a tree.", response=" ".join(WORDS))
    assert kept(curate([dirty, sample("b", "Name a tree.", step=1)], evaluation_texts=(" ".join(WORDS),))) == ["b"]


def test_a_duplicate_that_is_contaminated_is_called_contaminated() -> None:
    samples = [sample("a", "Name a tree."), sample("b", "Name a tree.", response=" ".join(WORDS), step=1)]
    assert drops(curate(samples, evaluation_texts=(" ".join(WORDS),))) == {"b": (DropReason.CONTAMINATED, None)}


def test_what_utf8_cannot_say_is_left_out() -> None:
    assert drops(curate([sample("a", response="\ud83d")], evaluation_texts=())) == {"a": (DropReason.NOT_UNICODE, None)}


def test_a_new_generation_never_drops_a_sample_of_an_old_one() -> None:
    old = [sample("z", text(1), seed_id="z", partition_key="2026-01-05")]
    new = [sample("a", text(1), seed_id="a", partition_key="2026-01-12")]
    assert kept(curate(new + old, evaluation_texts=())) == ["z"]


def test_memory_holds_no_texts() -> None:
    samples = (sample(f"s{k}", response=f"{k} {'so ' * 9_000}", step=k) for k in range(200))
    tracemalloc.start()
    curated = curate(samples, evaluation_texts=())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(curated.examples) == 200
    assert held < 1_000_000, "the answers are 5.4 MB"


def test_a_sample_that_contradicts_itself_is_an_error() -> None:
    with pytest.raises(ValueError, match="a is accepted but has no response"):
        curate([sample("a", response=None)], evaluation_texts=())
    broken = replace(sample("b"), accepted=False)
    with pytest.raises(ValueError, match="b is refused but has no reason"):
        curate([broken], evaluation_texts=())


@st.composite
def messy_samples(draw) -> list[Sample]:
    keys = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.booleans()), max_size=25))
    return [
        sample(
            f"s{k}",
            text(base, 30) + (f" extra{variant}" if variant else ""),
            seed_id=f"seed {(base + k) % 7}",
            step=k % 6,
            partition_key=f"2026-01-{5 + 7 * (k % 3):02d}",
            reason="refusal" if refused else None,
        )
        for k, (base, variant, refused) in enumerate(keys)
    ]


@settings(max_examples=example_count(40))
@given(messy_samples(), st.randoms(use_true_random=False))
def test_the_order_in_which_samples_arrive_does_not_matter(samples: list[Sample], shuffler: random.Random) -> None:
    shuffled = list(samples)
    shuffler.shuffle(shuffled)
    assert told(curate(shuffled, evaluation_texts=())) == told(curate(samples, evaluation_texts=()))


@settings(max_examples=example_count(40))
@given(messy_samples(), st.sets(st.integers(0, 24)))
def test_stored_signatures_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, samples: list[Sample], known: set[int]
) -> None:
    file = tmp_path_factory.mktemp("signatures") / "some.npy"
    store_signatures(file, lambda: [s.instruction for at, s in enumerate(samples) if at in known])
    stored = StoredSignatures([file])
    assert told(curate(samples, evaluation_texts=(), signatures=stored)) == told(curate(samples, evaluation_texts=()))


@settings(max_examples=example_count(40))
@given(messy_samples())
def test_every_sample_is_accounted_for_once_and_what_is_kept_is_new(samples: list[Sample]) -> None:
    curated = curate(samples, evaluation_texts=())
    assert Counter([*kept(curated), *drops(curated)]) == Counter(s.sample_id for s in samples)
    order = {s.sample_id: canonical_order(s) for s in samples}
    assert kept(curated) == sorted(kept(curated), key=order.__getitem__)
    for drop in curated.dropped:
        if drop.duplicate_of is not None:
            assert order[drop.duplicate_of] < order[drop.sample_id]


@settings(max_examples=example_count(40))
@given(messy_samples())
def test_near_duplicates_never_straddle_a_split_of_the_dataset(samples: list[Sample]) -> None:
    examples = list(curate(samples, evaluation_texts=()).examples)
    for at, a in enumerate(examples):
        for b in examples[:at]:
            same_side = split_of(a.seed_id) == split_of(b.seed_id)
            assert same_side or not near_duplicate(a.instruction, b.instruction)
