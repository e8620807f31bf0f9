"""What ims-acd costs next to its peers, measured side by side: run ``python -m benchmarks``."""
