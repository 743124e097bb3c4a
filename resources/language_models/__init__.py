"""Language models behind one protocol: OpenAI-compatible endpoints, local transformers models, the offline rules."""
