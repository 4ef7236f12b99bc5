"""When the flows run, and for what: deployments as code. `python -m flows` serves them."""
