"""What was asked and paid, where every sample came from, and the report: assets and their checks."""
