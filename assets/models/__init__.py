"""Group `models`: the student before training, and the adapters trained on the dataset."""
