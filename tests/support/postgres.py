"""A private PostgreSQL cluster, where the server's programs are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.processes import free_port


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, or None."""
    candidates = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "pg_ctl").exists()), None)


@contextmanager
def cluster() -> Iterator[str]:
    """A running cluster; its URL. The server refuses to run as root, so root starts it as the user `postgres`."""
    folder = programs()
    assert folder is not None
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="teams-postgres-") as place:
        if user is not None:
            shutil.chown(place, user)
        data = f"{place}/data"

        def call(*command: str) -> None:
            subprocess.run(command, check=True, user=user, cwd=place, stdout=subprocess.DEVNULL, timeout=60)

        call(str(folder / "initdb"), "-D", data, "-U", "teams", "--auth=trust", "--no-sync")

        def start() -> int:
            port = free_port()
            options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1"
            call(str(folder / "pg_ctl"), "-D", data, "-w", "-l", f"{place}/log", "-o", options, "start")
            return port

        try:
            port = start()
        except subprocess.CalledProcessError:  # another process took the port between its choice and its use
            port = start()
        try:
            yield f"postgresql://teams@127.0.0.1:{port}/postgres"
        finally:
            call(str(folder / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")


def new_database(address: str) -> str:
    """A new empty database in the cluster at `address`; its URL."""
    name = f"d{uuid.uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return f"{address.rpartition('/')[0]}/{name}"
