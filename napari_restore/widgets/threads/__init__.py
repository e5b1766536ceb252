"""Work beside the main thread, and long work on it in small steps."""
