"""What the package is measured by: ``python -m benchmarks.NAME``, from the root of the repository."""
