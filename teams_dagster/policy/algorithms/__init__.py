"""Learning algorithms for categorical policies: TRPO, PPO, and reinforcement learning with a guide (RLGF).

One module an algorithm. They take tensors of shape (episodes, steps) with a validity mask and know nothing of
operations, horizons or texts; a policy is reached through the log-probabilities of its choices, a critic through its
values.
"""
