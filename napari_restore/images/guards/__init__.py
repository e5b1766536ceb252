"""Checks of untrusted sources: which other files they make the program read, and how large their chunks decode."""
