"""What is named in arguments: an empty name, of an unset shell variable, means nothing."""

from typing import Final, get_args

import click
from click.shell_completion import CompletionItem

from syncd.cli import completion
from syncd.model.run import Priority


class _Name(click.ParamType[str]):
    """A text that is not empty, and can be sent; shells complete it to one of the known names."""

    def __init__(self, name: str, known: completion.Names | None = None) -> None:
        self.name = name
        self._known = known

    def convert(
        self,
        value: str,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the text; raises click.BadParameter."""
        try:
            value.encode()
        except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as surrogates
            self.fail("must be UTF-8", param, ctx)
        return value or self.fail("must not be empty", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Return what a shell offers."""
        if self._known is None:
            return []
        return completion.completions(self._known, ctx, param, incomplete)


JOB: Final = _Name("job", completion.jobs)
RUN: Final = _Name("run", completion.runs)
ACCOUNT: Final = _Name("account", completion.accounts)
SERVER: Final = _Name("server", completion.servers)
TABLE: Final = _Name("table", completion.tables)
CHANNEL: Final = _Name("channel", completion.channels)
REGION: Final = _Name("region")
TEXT: Final = _Name("text")
LEVEL: Final = click.Choice(get_args(Priority))
