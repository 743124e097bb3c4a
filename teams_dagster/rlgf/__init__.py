"""RLGF for language models, token by token (Chang et al. 2023, arXiv 2306.11816): a guide helps reinforcement learning.

An action is the next token, and a text's reward comes at its last one. Roll-ins, masks, estimators and KL controllers
are those of the operation policy (`teams_dagster.policy`); what moves a language model is here.
"""
