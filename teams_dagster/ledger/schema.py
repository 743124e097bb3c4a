"""The ledger database's tables, the same on SQLite and PostgreSQL.

What happened is append-only (questions, attempts, results, answers, uses; each row carries its hash): `seq` rises with
commit order (writers are serialised), so a reader that remembers the highest one it saw misses nothing, and what was
written up to a `seq` can be sealed (seals). What is under way is not (owners, claims, spending, batches), nor what was
found out about endpoints (endpoint_traits). Times are microseconds since the epoch, UTC. Money is nano-dollars.
"""

from __future__ import annotations

import sqlalchemy as sa

from teams_dagster.core.row_hash import ROW_HASH

SCHEMA_VERSION = 4
"""Raised with every change of these tables."""

USAGE = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "cache_write_tokens")
"""Columns of tokens."""

metadata = sa.MetaData()


def _seq() -> sa.Column[int]:
    """The insertion order. SQLite wants INTEGER for its row id; PostgreSQL gets a 64-bit sequence."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("seq", big, primary_key=True, autoincrement=True)


def _required(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _row_hash() -> sa.Column[str]:
    """The hash of the row's other fields (`ledger.row_hash`), `seq` left out."""
    return _required(ROW_HASH)


def _where_asked() -> list[sa.Column[str]]:
    """Who asked, for what: shared by attempts and uses."""
    return [
        _required("role"),
        _required("purpose"),
        sa.Column("operation", sa.Text),
        _required("provider"),
        _required("model"),
        _required("run_id"),
        _required("asset_key"),
        sa.Column("partition_key", sa.Text),
        sa.Column("transition_id", sa.Text),
        sa.Column("sample_id", sa.Text),
    ]


def _usage() -> list[sa.Column[int]]:
    """Tokens as the provider reported them; NULL where it said nothing."""
    return [sa.Column(name, sa.BigInteger) for name in USAGE]


ledger_identity = sa.Table(
    "ledger_identity",
    metadata,
    sa.Column("schema_version", sa.Integer, primary_key=True),
    _required("ledger_id"),
)
"""One row: the version of these tables, and a random id that tells this ledger from another at the same address."""

questions = sa.Table(
    "questions",
    metadata,
    _seq(),
    sa.Column("request_key", sa.Text, nullable=False, unique=True),
    _required("provider"),
    _required("model"),
    _required("base_url"),
    _required("rules_version"),
    _required("prompt_version"),
    _required("messages"),
    sa.Column("temperature", sa.Double, nullable=False),
    sa.Column("top_p", sa.Double, nullable=False),
    sa.Column("max_tokens", sa.Integer, nullable=False),
    sa.Column("replica", sa.BigInteger, nullable=False),
    sa.Column("structured", sa.Text),
    sa.Column("allowed_replies", sa.Text),
    _row_hash(),
)
"""What was sent, once per request key; `messages` is a JSON list of {role, content}, for a replay to compare with.

`structured` is the way in which the model was held to `allowed_replies` (JSON); both are NULL where it was not."""

attempts = sa.Table(
    "attempts",
    metadata,
    _seq(),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    _required("request_key"),
    sa.Column("attempt", sa.Integer, nullable=False),
    *_where_asked(),
    _required("process"),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("reserved_tokens", sa.BigInteger),
    sa.Column("reserved_nano_usd", sa.BigInteger),
    sa.Column("batch_id", sa.Text),
    _row_hash(),
)
"""Intents: written before the call. One without a row in `results` is unresolved: perhaps paid, outcome unknown.

What is reserved is the most that the call can cost; NULL where no price is known, or when it was written before
reservations were. `batch_id` names the batch that an attempt is part of."""

sa.Index("attempts_of_question", attempts.c.request_key)
_IN_BATCH = attempts.c.batch_id.is_not(None)
sa.Index("attempts_of_batch", attempts.c.batch_id, sqlite_where=_IN_BATCH, postgresql_where=_IN_BATCH)

results = sa.Table(
    "results",
    metadata,
    _seq(),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    _required("status"),
    sa.Column("outcome", sa.Text),
    sa.Column("error_kind", sa.Text),
    sa.Column("error_detail", sa.Text),
    sa.Column("http_status", sa.Integer),
    *_usage(),
    sa.Column("cost_nano_usd", sa.BigInteger),
    _required("price_version"),
    sa.Column("latency_ms", sa.Double, nullable=False),
    sa.Column("finished_at", sa.BigInteger, nullable=False),
    _row_hash(),
)
"""How attempts ended: status `ok` (a billed completion, whatever it says) or `failed`."""

answers = sa.Table(
    "answers",
    metadata,
    _seq(),
    sa.Column("request_key", sa.Text, nullable=False, unique=True),
    _required("request_id"),
    _required("text"),
    _required("finish_reason"),
    _required("outcome"),
    *_usage(),
    sa.Column("reasoning", sa.Text),
    sa.Column("probabilities", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    _row_hash(),
)
"""The answer of each query, for reuse. The first one stays.

`reasoning` is what the model thought before it answered, no part of `text`; `probabilities` is a JSON object of the
allowed replies' probabilities. NULL where the model gave none."""

uses = sa.Table(
    "uses",
    metadata,
    _seq(),
    _required("use_id"),
    sa.Column("answered", sa.Boolean, nullable=False),
    _required("request_key"),
    sa.Column("request_id", sa.Text),
    sa.Column("reused", sa.Boolean, nullable=False),
    _required("outcome"),
    sa.Column("error_kind", sa.Text),
    *_where_asked(),
    sa.Column("asked_at", sa.BigInteger, nullable=False),
    _row_hash(),
    sa.UniqueConstraint("use_id", "answered"),
)
"""One row per query asked. A query that failed and was answered when the step ran again has two rows with
one `use_id`; the answered one counts."""

HISTORY = (questions, attempts, results, answers, uses)
"""The append-only tables, in the order in which a query's rows are written."""

seals = sa.Table(
    "seals",
    metadata,
    _seq(),
    _required("kind"),
    _required("name"),
    sa.Column("first_seq", sa.BigInteger),
    sa.Column("last_seq", sa.BigInteger),
    sa.Column("rows", sa.BigInteger),
    _required("content"),
    _required("previous"),
    _required("head"),
    sa.Column("sealed_at", sa.BigInteger, nullable=False),
)
"""The chain: each link seals the rows that a table gained (kind `rows`), or an artefact (kind `artefact`), and the link
before it. Append-only."""

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("lease_until", sa.BigInteger),
)
"""Who may hold claims: processes, which renew their lease while they live, and batches, which have none (NULL)."""

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("request_key", sa.Text, primary_key=True),
    _required("owner"),
)
"""The queries that are being asked. A claim counts while its owner lives."""

spending = sa.Table(
    "spending",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("queries", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("nano_usd", sa.BigInteger, nullable=False),
)
"""What may have been billed so far: paid, reserved for calls under way, or of unknown fate. One row per scope."""

endpoint_traits = sa.Table(
    "endpoint_traits",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("base_url", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("trait", sa.Text, primary_key=True),
    _required("value"),
    sa.Column("found_at", sa.BigInteger, nullable=False),
)
"""What was found out about an endpoint, once, for every process: which constraints it honours, say. The first
stays; of limits the smallest."""

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    _required("role"),
    _required("provider"),
    _required("model"),
    _required("base_url"),
    _required("status"),
    sa.Column("remote_id", sa.Text),
    sa.Column("owner", sa.Text),
    _required("run_id"),
    _required("asset_key"),
    sa.Column("partition_key", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
"""Provider batches: `preparing` (attempts are on the ledger), `submitted`, `collected`, or `lost` (never submitted).

`owner` is the process that works on it, NULL when none does."""
