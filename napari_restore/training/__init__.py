"""Training of the bundled weights: synthetic structure, real clean crops, degradation and the training loop."""
