"""The model being fine-tuned: the embedded tiny base, its chat template, LoRA and QLoRA adapters."""

from teams_dagster.student.quiet import quieten_bitsandbytes

quieten_bitsandbytes()  # here, because it speaks while it is imported, which several libraries used below do
