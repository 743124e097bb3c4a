"""EleutherAI's lm-evaluation-harness (Gao et al. 2024, doi 10.5281/zenodo.12608602) as an engine of scores."""
