"""Ten minutes of mixed calls over a bad network: `make soak`."""
