"""The checks that a running service must pass: `kit` runs them all, a module holds those of one kind."""
