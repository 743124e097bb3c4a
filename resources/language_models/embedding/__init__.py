"""A sentence-embedding model as reviewer: how far two texts are apart, and what else tells them apart."""
