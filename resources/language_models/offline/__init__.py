"""The embedded default: a rule-based language model that runs in process and costs nothing."""
