"""What is kept: artefacts, their tables, and the DuckDB that people read."""
