"""The command line: argv → one call → exit code. Nothing outside this package prints."""

import gc
import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from fdpipe.cli.commands import cli
from fdpipe.cli.session import Session
from fdpipe.errors import Exit, FdpipeError

COLLECT_AFTER = 1_000_000
"""Objects between two looks for garbage. Imports make half as many, which stay; the usual 700 cost a tenth of the time."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `fdpipe`."""
    gc.set_threshold(COLLECT_AFTER)
    session = Session(apart=True)
    code = call(session, sys.argv[1:] if arguments is None else list(arguments))
    session.streams.flush()
    gc.freeze()  # or Python would look through everything once more at its end, which takes 0.4 s after an import of MLflow
    sys.exit(code)


def call(session: Session, arguments: Sequence[str]) -> int:
    """Run one command; every error becomes one line and its exit code."""
    try:
        return cli.main(list(arguments), prog_name="fdpipe", standalone_mode=False, obj=session) or Exit.DONE
    except (click.Abort, KeyboardInterrupt):
        return tell(session, "interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:
        return Exit.DONE
    except click.ClickException as error:
        return tell(session, error.format_message(), Exit.CONFIGURATION)
    except FdpipeError as error:
        return tell(session, str(error), error.exit_code)
    except Exception as error:
        return tell(session, f"internal error: {type(error).__name__}: {error} (see {_where(error)})", Exit.INTERNAL)


def tell(session: Session, text: str, code: Exit) -> int:
    """One line on the error stream and, for machines, one object on the other."""
    line = " ".join(text.split())
    click.echo(f"fdpipe: {line}", file=session.streams.err)
    if session.as_json:
        click.echo(json.dumps({"exit_code": int(code), "error": line}), file=session.streams.out)
    return code


def _where(error: Exception) -> str:
    """The run's folder, which has the traceback, or the file in the state folder into which it is written here."""
    for note in getattr(error, "__notes__", ()):
        before, label, folder = note.partition("run folder: ")
        if label and not before:
            return str(folder)
    from fdpipe.home import open_home

    with suppress(FdpipeError, OSError):
        path = open_home() / "traceback.txt"
        path.write_text("".join(traceback.format_exception(error)))
        return str(path)
    return "nothing: the state folder cannot be written"
