"""Groups of rows that matter to the board."""
