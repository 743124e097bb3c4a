"""Policies compared on seeds they never met, at an equal number of questions asked, with paired intervals."""
