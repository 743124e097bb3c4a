"""The checks of what is stored: sound as it was made, and once something is broken they name it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from assets.accounting.lineage_checks import every_chain_is_complete
from assets.accounting.schema_checks import schema_checks
from assets.dataset.dataset_checks import dataset_repeats_nothing
from assets.dataset.generation_checks import answers_do_not_drift, edits_do_not_drift
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.sample_checks import contamination_of_samples, kept_answers_answer, no_prompt_words_leaked
from assets.seeds import contamination_of_seeds
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.ledger.schema import results
from tests.support.parquet import change, cut
from tests.support.project import Project

WEEKS = ("2026-11-02", "2026-11-09")
FIRST, LATEST = WEEKS
SEEDS = 60


@pytest.fixture
def project(two_weeks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of a data folder with two generations and their dataset, to be broken."""
    data = Path(shutil.copytree(two_weeks, tmp_path / "data"))
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    return Project(data)


def checked(check: dg.AssetChecksDefinition, project: Project, *resources: str) -> dg.AssetCheckResult:
    result = check(**{name: getattr(project, name) for name in ("store", *resources)})
    assert isinstance(result, dg.AssetCheckResult)
    return result


def found(result: dg.AssetCheckResult) -> str:
    """What a check that did not pass says."""
    assert not result.passed, result.description
    assert "not_run" not in result.metadata
    return result.description or ""


def table(project: Project, asset: str, name: str, week: str | None = LATEST) -> Path:
    return project.store.current(asset, week).path(f"{name}.parquet")


def key_of(check: dg.AssetChecksDefinition) -> dg.AssetCheckKey:
    [key] = check.check_keys
    return key


contamination_checks = [*contamination_of_seeds, *contamination_of_samples]

EVERYTHING = [
    *((check, ()) for check in schema_checks),
    *((check, ("models",)) for check in contamination_checks),
    (every_chain_is_complete, ("ledger",)),
    (no_prompt_words_leaked, ()),
    (kept_answers_answer, ()),
    (dataset_repeats_nothing, ()),
    (edits_do_not_drift, ()),
    (answers_do_not_drift, ("ledger",)),
]


@pytest.mark.slow
def test_before_anything_is_made_no_check_passes_and_each_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    empty = Project(tmp_path)
    for check, resources in EVERYTHING:
        result = checked(check, empty, *resources)
        assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert (result.description or "").startswith("not run: ")
        assert result.metadata["not_run"].value is True


@pytest.mark.slow
def test_what_was_made_passes(project: Project) -> None:
    models = {
        "base_model",
        "lora_model",
        "qlora_model",
        "evaluation_scores",
        "judged_win_rate",
        "paper_table",
        "policy_comparison",
        "uniform_instructions",
        "uniform_responses",
        "uniform_dataset",
        "lora_uniform",
        "uniform_scores",
        "outcome_scores",
        "rlgf_model",
        "rlgf_scores",
    }
    for check, resources in EVERYTHING:
        if check in contamination_checks or key_of(check).asset_key.to_user_string() in models:
            continue
        result = checked(check, project, *resources)
        assert result.passed, f"{key_of(check)}: {result.description}"


# Tables


def schema_of(project: Project, asset: str) -> dg.AssetCheckResult:
    [check] = [check for check in schema_checks if key_of(check).asset_key == dg.AssetKey(asset)]
    return checked(check, project)


def test_a_value_that_is_missing_is_named_by_generation_column_and_row(project: Project) -> None:
    change(table(project, "expert_responses", "samples", FIRST), "seed_id", lambda _: None, row=4)
    result = schema_of(project, "expert_responses")
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert f"generation {FIRST}, artefact " in found(result)
    assert "samples.seed_id is NULL in 1 rows, first in row 4" in found(result)


def test_a_table_that_was_removed_is_named(project: Project) -> None:
    table(project, "trained_policy", "policies", None).unlink()
    assert "policies is gone" in found(schema_of(project, "trained_policy"))


def test_what_a_damaged_file_says_is_shown_harmless(project: Project) -> None:
    file = table(project, "generated_instructions", "transitions")
    cut(file, lambda row: row["accepted"])
    change(file, "transition_id", lambda _: "\x1b[31m\u202e../../etc", row=0)
    change(file, "policy_version", lambda _: "none", row=0)
    said = found(checked(every_chain_is_complete, project, "ledger"))
    assert "1 transitions by a policy that is not stored, such as [U+001B][31m[U+202E]../../etc" in said


# Chains


def lose(rows: str, column: str) -> Callable[[Project], None]:
    """Lose the first row of a generation's table that has a value in `column`."""

    def damage(project: Project) -> None:
        asset = "expert_responses" if rows == "samples" else "generated_instructions"
        file = table(project, asset, rows)
        lost = next(row for row in pq.read_table(file).to_pylist() if row[column])
        cut(file, lambda row: row != lost)

    return damage


def alter(asset: str, rows: str, column: str, value: Callable[[Any], Any]) -> Callable[[Project], None]:
    return lambda project: change(table(project, asset, rows), column, value)


def forget_an_answer(project: Project) -> None:
    request = pq.read_table(table(project, "expert_responses", "samples"))["respond_request_id"][0].as_py()
    with project.ledger.open() as ledger, ledger.engine.begin() as database:
        database.execute(sa.delete(results).where(results.c.request_id == request))


def forget_a_review(project: Project) -> None:
    file = table(project, "generated_instructions", "transitions")
    accepted = pq.read_table(file)["accepted"].to_pylist().index(True)
    change(file, "review_request_id", lambda _: None, row=accepted)


def forget_a_seed(project: Project) -> None:
    used = pq.read_table(table(project, "generated_instructions", "transitions"))["seed_id"][0].as_py()
    cut(table(project, "seed_instructions", "seeds", None), lambda row: row["seed_id"] != used)


def forget_the(asset: str) -> Callable[[Project], None]:
    return lambda project: shutil.rmtree(project.store.place(asset))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lose("transitions", "sample_id"), "1 samples of a transition that is not stored"),
        (lose("transitions", "accepted"), "transitions that continue one that is not stored"),
        (
            alter("expert_responses", "samples", "instruction_id", lambda value: value[::-1]),
            "1 samples that are not what their transition says",
        ),
        (
            alter("generated_instructions", "transitions", "parent_transition_id", lambda value: value[::-1]),
            "1 transitions that continue one that is not stored",
        ),
        (
            alter("generated_instructions", "transitions", "parent_id", lambda value: value[::-1]),
            "1 transitions that begin a chain at no stored seed",
        ),
        (forget_a_seed, "transitions that begin a chain at no stored seed"),
        (forget_an_answer, "1 requests of samples that have no answer on the ledger"),
        (
            alter("generated_instructions", "transitions", "rewrite_request_id", lambda value: value[::-1]),
            "1 requests of transitions that have no answer on the ledger",
        ),
        (forget_a_review, "1 accepted rewrites without the requests that made and judged them"),
        (
            alter("generated_instructions", "transitions", "policy_version", lambda value: value[::-1]),
            "1 transitions by a policy that is not stored",
        ),
        (forget_the("trained_policy"), "transitions by a policy that is not stored"),
        (
            alter("generated_instructions", "transitions", "prompt_version", lambda value: value[::-1]),
            "1 transitions by a prompt that is not stored",
        ),
        (
            alter("generated_instructions", "generations", "generation_version", lambda value: value[::-1]),
            "which table generations does not say",
        ),
        (forget_the("generated_instructions"), "is not in"),
        (forget_the("seed_instructions"), "is not in"),
    ],
)
def test_a_chain_with_a_hole_is_named_by_its_generation(
    project: Project, damage: Callable[[Project], None], what: str
) -> None:
    damage(project)
    result = checked(every_chain_is_complete, project, "ledger")
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert f"generation {LATEST}: " in found(result)
    assert what in found(result)


# Texts


def test_words_of_a_prompt_in_a_kept_sample_are_an_error(project: Project) -> None:
    file = table(project, "expert_responses", "samples", FIRST)
    change(file, "response", lambda value: "#Rewritten Prompt#: " + value)
    [leaking] = [row["sample_id"] for row in pq.read_table(file).to_pylist() if "#Rewritten" in (row["response"] or "")]
    result = checked(no_prompt_words_leaked, project)
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert f"generation {FIRST}: 1 of " in found(result)
    assert leaking in found(result)


def test_answers_that_decline_are_a_warning_above_the_limit(project: Project) -> None:
    file = table(project, "expert_responses", "samples")
    rows = pq.read_table(file).to_pylist()
    kept = [at for at, row in enumerate(rows) if row["accepted"]]
    change(file, "response", lambda _: "I cannot help with that request.", row=kept[0])
    assert checked(kept_answers_answer, project).passed
    for at in kept[1 : 2 + len(kept) // 20]:
        change(file, "response", lambda _: "I cannot help with that request.", row=at)
    result = checked(kept_answers_answer, project)
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert f"answers that decline the task are above 2% in generation {LATEST}" in found(result)


def test_where_nothing_was_kept_nothing_is_said_to_be_clean(project: Project) -> None:
    for week in WEEKS:
        cut(table(project, "expert_responses", "samples", week), lambda row: not row["accepted"])
    for check in (no_prompt_words_leaked, kept_answers_answer, dataset_repeats_nothing):
        assert checked(check, project).metadata["not_run"].value is True


# Repetition


def test_an_example_that_repeats_another_is_an_error(project: Project) -> None:
    files = project.store.current("instruction_dataset").path("files")
    train, held_out = (pq.read_table(files / f"{side}.parquet") for side in ("train", "held_out"))
    first = train.slice(0, 1).to_pylist()[0]
    change(files / "held_out.parquet", "instruction", lambda _: first["instruction"].upper(), row=0)
    change(files / "held_out.parquet", "input", lambda _: first["input"], row=0)
    result = checked(dataset_repeats_nothing, project)
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert f"{held_out['sample_id'][0].as_py()} and {first['sample_id']}" in found(result)


def test_a_generation_that_brings_nothing_new_is_a_warning(project: Project) -> None:
    earlier = pq.read_table(table(project, "expert_responses", "samples", FIRST)).to_pylist()
    texts = [(row["instruction"], row["input"]) for row in earlier if row["accepted"]]
    file = table(project, "expert_responses", "samples")
    samples = pq.read_table(file).to_pylist()
    for column, place in (("instruction", 0), ("input", 1)):
        stored = pq.read_table(file)
        values = [texts[at % len(texts)][place] for at in range(len(samples))]
        pq.write_table(stored.set_column(stored.schema.get_field_index(column), column, [values]), file)
    assert project.make(instruction_dataset, instruction_dataset={"force": True})
    result = checked(dataset_repeats_nothing, project)
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert f"generation {LATEST} repeats what is there in 100%" in found(result)


def test_signatures_are_stored_once_and_change_no_byte(project: Project) -> None:
    stored = sorted(project.store.place("expert_responses").glob("*/signatures/*.npy"))
    assert [file.parent.parent.name for file in stored] == list(WEEKS)
    before = project.store.current("instruction_dataset")
    stamps = [file.stat().st_mtime_ns for file in stored]
    assert project.make(instruction_dataset, instruction_dataset={"force": True})
    assert [file.stat().st_mtime_ns for file in stored] == stamps
    for folder in {file.parent for file in stored}:
        shutil.rmtree(folder)
    assert project.make(instruction_dataset, instruction_dataset={"force": True})
    again = project.store.current("instruction_dataset")
    assert again.folder != before.folder
    assert (again.data_version, again.changed_files()) == (before.data_version, [])
    files = [{p.name: p.read_bytes() for p in (a.folder / "files").iterdir()} for a in (before, again)]
    assert files[0] == files[1]


# Evaluation sets


def contamination_of(project: Project) -> dict[str, dg.AssetCheckResult]:
    return {key_of(check).name.split("_with")[0]: checked(check, project, "models") for check in contamination_checks}


def test_without_evaluation_sets_nothing_is_said_to_be_clean(project: Project) -> None:
    for result in contamination_of(project).values():
        assert result.metadata["not_run"].value is True
        assert (result.description or "").startswith("not run: TEAMS_EVALUATION_SETS names no file")


def test_without_evaluation_sets_nothing_is_said_to_have_failed(project: Project) -> None:
    assert all(result.passed for result in contamination_of(project).values())


def test_what_is_taken_from_an_evaluation_set_is_named_with_file_and_words(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = read_seeds(project.store.current("seed_instructions"))
    copied = max(seeds, key=lambda seed: len(seed.instruction.text.split()))
    words = copied.instruction.text.split()
    partly = next(s.instruction.text.split() for s in seeds if 9 <= len(s.instruction.text.split()) <= 12)
    questions = [
        {"question": "First read this. " + copied.instruction.text, "answer": "The answer is 4.\n#### 4"},
        {
            "question": "As they say: " + " ".join(partly[:9]) + " of every other day, and nothing more than that",
            "answer": "#### 5",
        },
    ]
    assert len(words) >= 13
    file = tmp_path / "maths_test.jsonl"
    file.write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    monkeypatch.setenv("TEAMS_EVALUATION_SETS", str(file))
    results = contamination_of(project)
    thirteen, eight = results["seeds_share_no_13_words"], results["seeds_share_no_8_words"]
    assert (thirteen.severity, eight.severity) == (dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN)
    assert f"{copied.seed_id} shares '" in found(thirteen)
    assert "with maths_test.jsonl" in found(thirteen)
    assert int(found(eight).split(" of ")[0]) > int(found(thirteen).split(" of ")[0])


# Drift


def lengthen(project: Project) -> None:
    """Make the latest answers longer."""
    file = table(project, "expert_responses", "samples")
    stored = pq.read_table(file)
    longer = [value and value + " And so on, and on, and on." * 20 for value in stored["response"].to_pylist()]
    pq.write_table(stored.set_column(stored.schema.get_field_index("response"), "response", [longer]), file)


def test_a_generation_that_differs_is_told_with_what_was_changed(project: Project) -> None:
    lengthen(project)
    result = checked(answers_do_not_drift, project, "ledger")
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert f"generation {LATEST} drifted: words of a kept answer" in found(result)
    assert "made with the same policy, seeds, prompts and models" in found(result)


def test_how_many_answers_each_instruction_was_given_is_among_what_was_changed(project: Project) -> None:
    lengthen(project)
    file = project.store.current("expert_responses", LATEST).path("manifest.json")
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "config": {**manifest["config"], "answers": 3}}))
    said = found(checked(answers_do_not_drift, project, "ledger"))
    assert "Since the one before it changed: answers to each instruction" in said


def test_a_single_generation_has_nothing_to_differ_from(project: Project) -> None:
    for asset in ("generated_instructions", "expert_responses"):
        shutil.rmtree(project.store.place(asset, FIRST))
    for result in (checked(edits_do_not_drift, project), checked(answers_do_not_drift, project, "ledger")):
        assert result.metadata["not_run"].value is True
        assert result.passed, "a first generation has not failed"
