"""Workers that make a release the running service."""
