"""`make formats`: models of every format, built in an environment for each family, converted, and told about in
docs/formats.md."""
