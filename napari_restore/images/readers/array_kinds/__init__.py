"""Arrays in memory that are more, or other, than those of numpy."""
