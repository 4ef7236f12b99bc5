"""The service beside others: requests a second on one core; `python -m bench serve [tiny] [image] [overload]`."""
