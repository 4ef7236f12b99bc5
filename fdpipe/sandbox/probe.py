"""`python -P -m fdpipe.sandbox.probe`: what this machine lacks to confine a process, in words, as JSON."""

import json
import sys

from fdpipe.sandbox import confinement, namespaces

if __name__ == "__main__":
    lacking = [*namespaces.enter(), *confinement.confine(writable=(), readable=(), hidden=())]
    sys.stdout.write(json.dumps(lacking))
