"""The account of every query: a durable transactional database, and its read model in DuckDB."""
