"""Describe settings, and convert the forms in which users may give their values."""
