"""What each asset records about its output, as typed models: a module for each group of the graph."""
