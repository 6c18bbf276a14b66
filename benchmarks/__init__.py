"""What is measured, and how: each module is run by ``python -m benchmarks.NAME``."""
