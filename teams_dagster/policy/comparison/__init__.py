"""Policies compared on seeds they never met, at an equal number of queries asked, with paired intervals."""
