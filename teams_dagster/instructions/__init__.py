"""Seeds, the operations and their prompts, elimination rules, novelty."""
