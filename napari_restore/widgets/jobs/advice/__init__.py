"""What the dock widgets advise: whether the model fits the layer, and what a run will change."""
