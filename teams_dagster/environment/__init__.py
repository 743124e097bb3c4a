"""The decision process: state, transition, reward, batched episodes."""
