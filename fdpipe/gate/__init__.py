"""The gate's checks: each is one rule about a candidate."""
