"""Files of the makers of microscopes."""
