"""The calibrators, which find the ranges of a graph's tensors."""
