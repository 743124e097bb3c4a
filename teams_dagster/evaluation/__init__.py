"""Scores with their errors: held-out loss, response choice, membership inference."""
