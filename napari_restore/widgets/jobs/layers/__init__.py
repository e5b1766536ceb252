"""Read layers: axes, channels and geometry, what their files say, and views of stored arrays."""
