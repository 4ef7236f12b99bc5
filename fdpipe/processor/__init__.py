"""What stands around the graph: records → tensors, outputs → answers."""
