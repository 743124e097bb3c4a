"""A store changed by somebody who has this code, and makes hashes anew over what they changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from teams_dagster.core.files import file_sha256
from teams_dagster.core.row_hash import ROW_HASH, row_hash
from teams_dagster.ledger.database import open_database, write_transaction
from teams_dagster.ledger.schema import HISTORY, answers, seals
from teams_dagster.store.hash_chain import Link, content_of_rows, read_links
from teams_dagster.store.source import row_hashes
from teams_dagster.store.tables import MANIFEST


def forge_json(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    """Change a JSON file of an output, and its hash in the manifest."""
    value = json.loads((folder / name).read_text(encoding="utf-8"))
    change(value)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][name] = file_sha256(folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def forge_answers(ledger_url: str) -> None:
    """Add a sentence to every answer on the ledger, with the hash of its row."""
    engine = open_database(ledger_url)
    with write_transaction(engine) as connection:
        for row in connection.execute(sa.select(answers)).mappings().all():
            forged = {**row, "text": f"{row['text']} Nobody said so."}
            content = {name: value for name, value in forged.items() if name not in ("seq", ROW_HASH)}
            forged[ROW_HASH] = row_hash(answers.name, content)
            connection.execute(sa.update(answers).where(answers.c.seq == row["seq"]).values(forged))
    engine.dispose()


def forge_chain(ledger_url: str) -> None:
    """Make the whole chain anew over the rows that are stored now."""
    engine = open_database(ledger_url)
    with write_transaction(engine) as connection:
        previous, forged = "", []
        for link, _ in read_links(connection):
            content = link.content
            for table in HISTORY:
                if table.name == link.name:
                    first, last = link.first_seq or 0, link.last_seq or 0
                    content, _ = content_of_rows(row_hashes(connection, table, first, last))
            forged.append(Link(**{**vars(link), "content": content, "previous": previous}))
            previous = forged[-1].head
        connection.execute(sa.delete(seals))
        connection.execute(sa.insert(seals), [{**vars(link), "head": link.head} for link in forged])
    engine.dispose()
