"""Statistics of two models on the same rows: what was lost, between which bounds, and how many rows would decide."""
