"""Candidates timed beside each other, each in a process of its own, of which one at a time has the turn."""
