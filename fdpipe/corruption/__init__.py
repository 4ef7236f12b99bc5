"""What may befall the rows of a caller."""
