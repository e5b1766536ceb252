"""Measure what tiles change in a result."""
