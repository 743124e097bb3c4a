"""The uniform arm: the same stages with operations drawn uniformly, at as many questions, into assets of its own."""
