"""Show the result of a job: its layers, what is stored of it, and what is not restored yet."""
