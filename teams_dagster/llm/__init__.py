"""Queries to language models: the protocol, and the engine that asks many at once on the ledger."""
