"""What `make bench-tune` runs."""
