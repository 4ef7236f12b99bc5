"""A target of one's own: the board."""
