"""Constraints that a program can check: found in an instruction's own text, and checked on an answer to it."""
