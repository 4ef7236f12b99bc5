"""This project's own workers: a room is a package, a worker a file in it."""
