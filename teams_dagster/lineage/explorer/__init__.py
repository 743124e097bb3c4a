"""The sample explorer: one HTML page over the read model that works from disk."""
