"""Nearmiss: near-miss preference pairs for vision-language models, and the training rounds on them."""
