"""What a model is to a user: its card, its checkpoint, and where to find it."""
