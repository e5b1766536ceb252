"""Run a plan on a Dask cluster: its workers, their tasks, and retries."""
