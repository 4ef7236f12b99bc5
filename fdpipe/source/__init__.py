"""Where registered models live."""
