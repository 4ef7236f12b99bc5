"""The searches, which choose the candidates to try."""
