"""The model being fine-tuned: the embedded tiny base, its chat template, LoRA and QLoRA adapters."""
