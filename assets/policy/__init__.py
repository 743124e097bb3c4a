"""The policy: trained on a part of the seeds, compared on the rest, checked."""
