"""The uniform arm: the same stages with operations drawn uniformly, at as many queries, into assets of its own."""
