"""From samples to an instruction dataset: curation, splits, export, data card."""
