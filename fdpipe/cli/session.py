"""One call of the command line: its two streams, and whether a machine reads them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fdpipe.cli.streams import Streams, set_apart, shared

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Session:
    """`apart` says that this process is ours alone, so that libraries may be given other streams than the user."""

    apart: bool = False
    as_json: bool = False
    streams: Streams = field(default_factory=shared)

    def begin(self) -> Path:
        """Before any library is imported: settle the environment and keep the libraries' talk from the user's streams."""
        from fdpipe.home import settle_environment

        home = settle_environment()
        if self.apart:
            self.apart = False
            self.streams = set_apart(home / "chatter.log")
        return home

    def say(self, text: str = "") -> None:
        """A line of the result."""
        click.echo(text, file=self.streams.out)

    def remark(self, text: str) -> None:
        """A line beside the result."""
        click.echo(f"fdpipe: {text}", file=self.streams.err)

    def give(self, value: Any) -> None:  # noqa: ANN401 - JSON has no narrower type
        """The one JSON object of `--json`."""
        import msgspec

        self.say(msgspec.json.encode(msgspec.to_builtins(value, enc_hook=str)).decode())

    def console(self) -> "Console":
        """Where steps and tables are shown: the result's stream or, where a machine reads that, the other."""
        from fdpipe.cli.console import console_on

        return console_on(self.streams.err if self.as_json else self.streams.out)
