"""Models: their cards, checkpoints and weights."""
