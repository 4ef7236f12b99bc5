"""What runs inside the built service: `service.py` of every Bento calls `build_service`."""

from fdpipe.serving.service import build_service

__all__ = ["build_service"]
