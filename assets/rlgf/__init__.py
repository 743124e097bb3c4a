"""Group `rlgf`: a language model that goes on from lora_model, trained token by token, and its scores."""
