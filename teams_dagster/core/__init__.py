"""The ground floor: values and helpers that import nothing else of ours."""
