"""Instruction following that programs check: prompts of our own, and how many of their constraints replies keep."""
