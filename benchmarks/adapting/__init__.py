"""What adapting to noisy images gains, and whether it ever loses."""
