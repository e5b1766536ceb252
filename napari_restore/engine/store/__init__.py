"""The output as its own journal: where blocks go, what is there, what is missing, and who may write."""
