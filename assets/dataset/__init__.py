"""The dataset: generations of instructions, their answers, and what is curated and split of them."""
