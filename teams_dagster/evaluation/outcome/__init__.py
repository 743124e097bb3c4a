"""What the policy is worth to the student: arms at equal queries, scored on measures that no reward ever saw."""
