"""What is named in arguments: an empty name, of an unset shell variable, means nothing."""

from typing import Final, get_args

import click

from syncd.model.run import Priority


class _Name(click.ParamType[str]):
    """A text that is not empty."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self,
        value: str,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the text; raises click.BadParameter when there is none."""
        return value or self.fail("must not be empty", param, ctx)


JOB: Final = _Name("job")
RUN: Final = _Name("run")
LEVEL: Final = click.Choice(get_args(Priority))
