"""Connections: language models, the ledger, the artefact store."""
