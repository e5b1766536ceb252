"""Fuzzing: thousands of damaged or malicious small files of every format that the package reads."""
