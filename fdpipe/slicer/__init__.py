"""Groups of evaluation rows."""
