"""Layers read from files and saved to files."""
