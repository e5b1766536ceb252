"""The models of a dock widget: their list, their weights, and the checkpoints of the user."""
