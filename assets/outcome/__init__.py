"""The outcome study: what the policy is worth to the student, on measures that no reward ever saw."""
