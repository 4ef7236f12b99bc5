"""Write docs/reference.md: every command's help and every choice of the packaged configuration, from the program itself."""

from pathlib import Path

import click

from fdpipe.cli.commands import cli
from fdpipe.config.catalog import GROUPS, catalog

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"


def page() -> str:
    """The page's text."""
    return "\n".join(["# Reference", "", "`make docs` writes this page.", "", *_commands(), *_choices()])


def _commands() -> list[str]:
    lines = ["## Commands", ""]
    program = click.Context(cli, info_name="fdpipe", terminal_width=100, **cli.context_settings)
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, parent=program, info_name=name)
        lines += [f"### fdpipe {name}", "", "```", command.get_help(context), "```", ""]
    return lines


def _choices() -> list[str]:
    packaged = catalog(ROOT / "docs")
    lines = ["## Configuration", "", "```yaml", "# config.yaml", packaged.primary.read_text().rstrip(), "```", ""]
    for group in GROUPS:
        for name, choice in packaged.choices(group).items():
            lines += [f"### {group}: {name}", "", "```yaml", choice.path.read_text().rstrip(), "```", ""]
    return lines


if __name__ == "__main__":
    PAGE.write_text(page())
