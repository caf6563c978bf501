"""What the head-end can do, measured side by side with the plain way: `make bench`, or `python -m benchmarks.NAME`."""
