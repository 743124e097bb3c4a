"""Which operation next: features, network, rollouts, TRPO, baselines, comparison."""
