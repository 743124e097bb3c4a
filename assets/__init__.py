"""The graph: one thin module a stage: read, call the method, return a MaterializeResult."""
