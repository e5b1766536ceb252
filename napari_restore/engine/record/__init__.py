"""What is written about a run, and checked later."""
