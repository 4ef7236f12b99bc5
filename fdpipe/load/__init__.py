"""Load on a running service: what to send and when, a sender in a process of its own, and the highest rate that it holds."""
