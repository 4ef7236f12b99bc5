"""The metrics: quality of answers against labels."""
