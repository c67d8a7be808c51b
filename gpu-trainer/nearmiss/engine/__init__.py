"""The training engine: layouts, log-probabilities, objectives, adapters, the loop, and greedy decoding."""
