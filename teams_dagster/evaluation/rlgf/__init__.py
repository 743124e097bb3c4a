"""A token-level training in the graph: who answers its queries, how many there will be, and what is kept of it."""
