"""Settings that are chosen from a sample of the image, besides the normalisation."""
