import threading
from pathlib import Path

import pytest

from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore, fingerprint
from teams_dagster.store.damage import ArtefactDamaged
from teams_dagster.store.tables import write_table

KEY = "instruction_dataset"


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(data_dir=str(tmp_path))


def write(store: ArtefactStore, name: str, text: str, partition: str | None = None) -> Artefact:
    with store.writing(KEY, name, partition, about={"run_id": "r", "made_at": "2026-11-16T00:00:00+00:00"}) as draft:
        (draft.folder / "rows.txt").write_text(text)
        draft.finish(f"version of {text}", {"rows": len(text)})
    return store.current(KEY, partition)


def test_what_was_written_is_what_downstream_reads(store: ArtefactStore):
    artefact = write(store, "abc", "hello")
    assert artefact.path("rows.txt").read_text() == "hello"
    assert artefact.data_version == "version of hello"
    assert artefact.facts == {"rows": 5}
    assert set(artefact.manifest["files"]) == {"rows.txt"}


def test_before_anything_is_written_the_error_names_the_asset_to_materialise(store: ArtefactStore):
    with pytest.raises(ArtefactMissing, match=r"instruction_dataset has no output.*materialise it first"):
        store.current(KEY)


def fail_half_way(store: ArtefactStore) -> None:
    def catch_fire() -> None:
        with store.writing(KEY, "abc", about={}) as draft:
            (draft.folder / "rows.txt").write_text("half")
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        catch_fire()


def test_a_failure_inside_leaves_no_artefact(store: ArtefactStore):
    fail_half_way(store)
    assert store.find(KEY, "abc") is None
    assert list(store.everything()) == []


def test_after_a_failure_the_next_attempt_starts_empty_unless_it_resumes(store: ArtefactStore):
    fail_half_way(store)
    with store.writing(KEY, "abc", about={}, resume=True) as draft:
        assert (draft.folder / "rows.txt").read_text() == "half"
        draft.finish("v", {})
    fail_half_way(store)
    with store.writing(KEY, "abc", about={}) as draft:
        assert list(draft.folder.iterdir()) == []
        draft.finish("v", {})


def test_who_comes_second_waits_for_its_turn(store: ArtefactStore):
    order: list[str] = []
    first_has_it, second_waits = threading.Event(), threading.Event()

    def waiting(message: str) -> None:
        order.append(message)
        second_waits.set()

    def first() -> None:
        with store.turn(KEY):
            first_has_it.set()
            second_waits.wait(60)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    first_has_it.wait()
    with store.turn(KEY, waiting=waiting):
        order.append("second")
    thread.join()
    assert order == [f"another process is making {KEY}: waiting for it", "first", "second"]


def test_an_artefact_is_found_by_its_content(store: ArtefactStore):
    old = write(store, "abc", "one")
    write(store, "def", "two")
    assert store.of_version(KEY, "version of one") == old
    with pytest.raises(ArtefactMissing, match="`teams restore BACKUP` puts it back"):
        store.of_version(KEY, "version of three")


def test_an_output_that_never_said_what_it_holds_is_refused(store: ArtefactStore):
    with pytest.raises(RuntimeError, match="never said what it holds"), store.writing(KEY, "abc", about={}):
        pass
    assert not store.exists(KEY)


def test_a_forced_second_output_keeps_the_first(store: ArtefactStore):
    first, second = write(store, "abc", "one"), write(store, "abc", "two")
    assert first.path("rows.txt").read_text() == "one"
    assert store.find(KEY, "abc") == second == store.current(KEY)


def test_an_older_output_can_be_selected_again(store: ArtefactStore):
    old = write(store, "abc", "one")
    write(store, "def", "two")
    store.select(old)
    assert store.current(KEY) == old
    assert [(a.folder.name, current) for a, current in store.everything()] == [("abc", True), ("def", False)]


def test_partitions_keep_apart(store: ArtefactStore):
    write(store, "abc", "week one", "2026-01-05")
    write(store, "abc", "week two", "2026-01-12")
    assert store.partitions(KEY) == ["2026-01-05", "2026-01-12"]
    assert store.current(KEY, "2026-01-05").path("rows.txt").read_text() == "week one"
    assert not store.exists(KEY)


def test_a_removed_file_is_missed_by_name(store: ArtefactStore):
    artefact = write(store, "abc", "hello")
    (artefact.folder / "rows.txt").unlink()
    with pytest.raises(ArtefactMissing, match=r"rows\.txt is gone"):
        artefact.path("rows.txt")


def test_a_table_that_was_cut_off_is_named_with_what_puts_it_back(store: ArtefactStore):
    artefact = write(store, "abc", "hello")
    write_table(artefact.folder, "seeds", [])
    assert artefact.path("seeds.parquet").is_file()
    content = (artefact.folder / "seeds.parquet").read_bytes()
    for kept in (0, 3, len(content) // 2):
        (artefact.folder / "seeds.parquet").write_bytes(content[:kept])
        with pytest.raises(ArtefactDamaged, match=r"seeds\.parquet is damaged.*`teams restore BACKUP` puts it back"):
            artefact.path("seeds.parquet")


def test_a_fingerprint_changes_with_the_code_the_config_and_the_inputs():
    names = {
        fingerprint(KEY, "1", {"a": 1}, {"up": "x"}),
        fingerprint(KEY, "2", {"a": 1}, {"up": "x"}),
        fingerprint(KEY, "1", {"a": 2}, {"up": "x"}),
        fingerprint(KEY, "1", {"a": 1}, {"up": "y"}),
    }
    assert len(names) == 4
