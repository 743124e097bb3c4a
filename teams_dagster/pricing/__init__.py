"""What queries cost, and what a run would cost."""
