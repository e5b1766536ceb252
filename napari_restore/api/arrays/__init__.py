"""Results that are not stored: arrays in memory and lazy arrays, of the kind that the source is."""
