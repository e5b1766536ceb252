"""What runs beside the main thread, and what takes long on it in small steps."""
