"""Rules found by search instead of by a learner with a network, at as many queries as a training asks."""
