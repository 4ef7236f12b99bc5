"""The engines that execute models."""
