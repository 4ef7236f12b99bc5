"""The engine of the board."""
