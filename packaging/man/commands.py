"""The commands of syncd(8), from the commands themselves."""

from collections.abc import Iterator

import click
import roff

from syncd.cli.main import cli

_JSON = "Print JSON."  # said once, for all commands


def commands() -> Iterator[str]:
    """Yield the lines that describe each command."""
    context = click.Context(cli, info_name="syncd")
    for name in cli.list_commands(context):
        yield from _described(cli.get_command(context, name), f"syncd {name}", context)


def _described(command: click.Command | None, path: str, parent: click.Context) -> Iterator[str]:
    """Yield a command with its options, and what is below it."""
    if command is None or command.hidden:
        return
    context = click.Context(command, parent, info_name=path.rpartition(" ")[2])
    if not isinstance(command, click.Group):
        yield from _one(command, path, context)
        return
    if command.invoke_without_command:
        yield from _one(command, path, context)
    for name in command.list_commands(context):
        yield from _described(command.get_command(context, name), f"{path} {name}", context)


def _one(command: click.Command, path: str, context: click.Context) -> Iterator[str]:
    """Yield one command with its options."""
    yield f".SS {roff.literal(path)}"
    options = [each for each in command.params if isinstance(each, click.Option)]
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    shown = [each for each in options if not each.hidden]
    words = [roff.bold(path), *(_brief(each, context) for each in shown)]
    words += [_argument(each, context) for each in arguments]
    if isinstance(command, click.Group):
        words.append(rf"[{roff.italic('COMMAND')} ...]")
    yield from _usage(words)
    for paragraph in (command.help or "").split("\f")[0].strip().split("\n\n"):
        yield ".PP"
        yield from roff.paragraph(paragraph)
    for option in shown:
        if option.help != _JSON:
            yield from roff.tagged(_tag(option, context), *_meaning(option, context))


def _usage(words: list[str]) -> Iterator[str]:
    """Yield the synopsis of a command, folded under itself."""
    yield ".HP"
    yield from (word.replace(" ", r"\ ") for word in words)


def _brief(option: click.Option, context: click.Context) -> str:
    """Return an option for the synopsis: `[--since TIME]`."""
    more = r"...\&" if option.multiple else ""
    name = max(option.opts, key=len)
    text = roff.bold(name)
    if not (option.is_flag or option.count):
        chosen = isinstance(option.type, click.Choice)
        value = roff.italic(name.strip("-").upper()) if chosen else _value(option, context)
        text += f" {value}"
    return text + more if option.required else f"[{text}]{more}"


def _argument(argument: click.Argument, context: click.Context) -> str:
    name = (argument.metavar or argument.make_metavar(context)).strip("[]").removesuffix("...")
    text = _value(argument, context) if name.startswith("{") else roff.italic(name)
    text += r" ...\&" if argument.nargs != 1 else ""
    return text if argument.required else f"[{text}]"


def _tag(option: click.Option, context: click.Context) -> str:
    """Return all names of an option, with what it takes."""
    text = ", ".join(roff.bold(name) for name in sorted(option.opts, key=len))
    return text if option.is_flag or option.count else f"{text} {_value(option, context)}"


def _value(option: click.Parameter, context: click.Context) -> str:
    """Return the placeholder of an option's value, or the words that it may be."""
    if isinstance(option.type, click.Choice):
        # a line may be broken behind each, where they are many
        return r"|\:".join(roff.bold(str(each)) for each in option.type.choices)
    metavar = option.metavar or option.make_metavar(context).split(" ")[0]
    return roff.italic(metavar.strip("[]"))


def _meaning(option: click.Option, context: click.Context) -> Iterator[str]:
    """Yield what an option does, with its bounds and its default."""
    extra = option.get_help_extra(context)
    text = option.help or _unsaid(option)
    if "range" in extra:
        text += f" {_bounds(option)}"
    if "default" in extra:
        text += f" Default: `{extra['default']}`."
    yield text


def _unsaid(option: click.Option) -> str:
    """Return what needs no words in the help of a command."""
    if "--limit" in option.opts:
        return "Print so many at most."
    raise LookupError(f"the option {option.opts} has no help")


def _bounds(option: click.Option) -> str:
    """Return the bounds of a number in words."""
    if not isinstance(option.type, click.IntRange | click.FloatRange):
        return ""
    low, high = option.type.min, option.type.max
    if low is None:
        return f"At most {high:,}."
    return f"At least {low:,}." if high is None else f"From {low:,} to {high:,}."
