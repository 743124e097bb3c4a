"""What was found out about an endpoint, once, and is read by every process: which constraints it honours, say.

A trait belongs to a provider, an address and a model. The first value stays: two processes that find out at the same
time go on with the same one. Of a limit the smallest stays, for whatever keeps it keeps the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.ledger import schema
from teams_dagster.ledger.database import now, write_transaction
from teams_dagster.ledger.inserts import insert_new


def traits_of(engine: sa.Engine, identity: ModelIdentity) -> dict[str, str]:
    """What is known of the endpoint that serves `identity`: the value of each trait."""
    with engine.connect() as connection:
        return _read(connection, identity)


def record_trait(engine: sa.Engine, identity: ModelIdentity, trait: str, value: str) -> str:
    """Write down what was found out; returns the value that stands, which is another process's if it was first."""
    with write_transaction(engine) as connection:
        return _recorded(connection, identity, trait, value)


def record_limit(engine: sa.Engine, identity: ModelIdentity, trait: str, value: int) -> int:
    """Write down a limit that was found out; returns the one that stands, the smallest that anybody found."""
    traits = schema.endpoint_traits.c
    with write_transaction(engine) as connection:
        stands = int(_recorded(connection, identity, trait, str(value)))
        if value < stands:
            changed = schema.endpoint_traits.update().where(_of(identity), traits.trait == trait)
            connection.execute(changed.values(value=str(value), found_at=now(connection)))
        return min(value, stands)


def _recorded(connection: sa.Connection, identity: ModelIdentity, trait: str, value: str) -> str:
    row = {"provider": identity.provider, "base_url": identity.base_url, "model": identity.model, "trait": trait}
    statement = insert_new(schema.endpoint_traits, connection.dialect.name)
    connection.execute(statement, {**row, "value": value, "found_at": now(connection)})
    return _read(connection, identity)[trait]


SHARED = "shared_by_"
"""How a trait begins that says which role a model serves that names none; its value is the setting that names it."""

SHARED_BY = "TEAMS_MODEL"
"""That setting."""


@dataclass(frozen=True)
class ServedRole:
    """A role, and the model that served it."""

    role: str
    provider: str
    model: str


def record_shared_role(engine: sa.Engine, identity: ModelIdentity, role: str) -> None:
    """Write down that `identity` serves `role` because `TEAMS_MODEL` names it for every role that names none."""
    if f"{SHARED}{role}" not in traits_of(engine, identity):
        record_trait(engine, identity, f"{SHARED}{role}", SHARED_BY)


def roles_shared(engine: sa.Engine) -> dict[ServedRole, str]:
    """Every role that was served so, with the setting that said it."""
    traits = schema.endpoint_traits.c
    shared = sa.select(traits.trait, traits.provider, traits.model, traits.value).where(
        traits.trait.startswith(SHARED, autoescape=True)
    )
    with engine.connect() as connection:
        return {
            ServedRole(row.trait.removeprefix(SHARED), row.provider, row.model): row.value
            for row in connection.execute(shared)
        }


def _read(connection: sa.Connection, identity: ModelIdentity) -> dict[str, str]:
    traits = schema.endpoint_traits.c
    found = connection.execute(sa.select(traits.trait, traits.value).where(_of(identity)))
    return {row.trait: row.value for row in found}


def _of(identity: ModelIdentity) -> sa.ColumnElement[bool]:
    traits = schema.endpoint_traits.c
    return sa.and_(
        traits.provider == identity.provider, traits.base_url == identity.base_url, traits.model == identity.model
    )
