"""TeaMs-RL and RLGF as a method: plain Python, no Dagster, usable from a notebook."""
