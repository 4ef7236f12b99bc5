"""`python -m flows` serves the deployments from the project's folder; `python -m flows deploy` gives them to work pools.

Both need a Prefect server: `prefect server start`, and `PREFECT_API_URL=http://127.0.0.1:4200/api`. The second needs a
pool of type `process` for each target, as `prefect work-pool create fdpipe-cpu --type process`, and a worker in it, started
in the project's folder: `prefect worker start --pool fdpipe-cpu`.
"""

import os
import sys
from itertools import groupby
from pathlib import Path

from fdpipe.home import settle_environment


def main(arguments: list[str]) -> None:
    """Serve or deploy what the roster of the working directory's project asks for."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO")
    settle_environment()
    import prefect
    from prefect.settings import get_current_settings

    from flows.deployments import deployments, work_pool_of

    if not get_current_settings().api.url:
        sys.exit(f"there is no Prefect server: {(__doc__ or '').partition(chr(10) * 2)[2]}")
    found = sorted(deployments(Path.cwd()), key=work_pool_of)
    if arguments == ["deploy"]:
        for pool, some in groupby(found, work_pool_of):
            prefect.deploy(*some, work_pool_name=pool)
    elif not arguments:
        prefect.serve(*found, limit=1)
    else:
        sys.exit("usage: python -m flows [deploy]")


if __name__ == "__main__":
    main(sys.argv[1:])
