"""A causal language model as the operation policy: it reads a state as a prompt and names the operation.

The policy's probabilities are those of the operations' names after the prompt, normalised over the allowed ones. LoRA
weights learn, by the algorithms of every other policy; the critic reads features as it does elsewhere.
"""
