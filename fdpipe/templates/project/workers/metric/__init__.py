"""metric: quality of answers against labels."""
