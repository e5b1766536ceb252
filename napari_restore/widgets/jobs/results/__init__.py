"""Show the result of a job: its layers, and what is stored of it."""
