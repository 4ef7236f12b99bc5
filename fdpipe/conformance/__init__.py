"""The checks that a running service must pass."""
