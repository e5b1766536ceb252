"""What a plan chooses by a sample of the image, beside the normalisation."""
