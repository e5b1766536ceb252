"""Fault injection: everything that can go wrong in a run, hundreds of times."""
