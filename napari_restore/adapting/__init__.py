"""Adapt the weights of a denoiser to noisy images alone, and decide on data set aside whether that has helped."""
