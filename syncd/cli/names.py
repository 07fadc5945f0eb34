"""What is named in arguments: an empty name, of an unset shell variable, means nothing."""

from typing import Final, get_args

import click

from syncd.model.run import Priority


class _Name(click.ParamType[str]):
    """A text that is not empty, and can be sent."""

    def __init__(self, name: str) -> None:
        self.name = name

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


JOB: Final = _Name("job")
RUN: Final = _Name("run")
TEXT: Final = _Name("text")
LEVEL: Final = click.Choice(get_args(Priority))
