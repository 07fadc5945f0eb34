"""The options of a program, read as getopt_long(3) and curl read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncd.crontab.reasons import NotUnderstood


@dataclass(frozen=True, slots=True)
class Options:
    """What a program takes: long names of flags and of options with a value; letters for them."""

    program: str
    flags: frozenset[str]
    valued: frozenset[str]
    letters: Mapping[str, str]

    def read(self, words: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield name and value of each option, and ("", word) for what is none.

        Raises NotUnderstood for an option that is not known.
        """
        rest = iter(words)
        for word in rest:
            if word == "--":
                yield from (("", each) for each in rest)
            elif word.startswith("-") and len(word) > 1:
                yield from self._one(word, rest)
            else:
                yield "", word

    def leading(self, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Return the options in front of the first word that is none, and the words from it on."""
        found: dict[str, str] = {}
        rest = iter(words)
        for word in rest:
            if word == "--":
                break
            if not word.startswith("-") or len(word) == 1:
                return found, [word, *rest]
            found.update(self._one(word, rest))
        return found, list(rest)

    def _one(self, word: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
        if word.startswith("--"):
            yield self._long(word[2:], rest)
        else:
            yield from self._short(word[1:], rest)

    def _long(self, word: str, rest: Iterator[str]) -> tuple[str, str]:
        name, equals, value = word.partition("=")
        if equals and self.program == "curl":
            raise NotUnderstood(f"curl: takes no value behind --{name[:40]}=")
        if name in self.valued:
            return name, value if equals else self._next(f"--{name}", rest)
        if name in self.flags and not equals:
            return name, ""
        raise NotUnderstood(f"{self.program}: the option --{name[:40]} has no counterpart")

    def _short(self, cluster: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
        while cluster:
            letter, cluster = cluster[0], cluster[1:]
            name = self.letters.get(letter, "")
            if name in self.valued:
                yield name, cluster or self._next(f"-{letter}", rest)
                return
            if name not in self.flags:
                raise NotUnderstood(f"{self.program}: the option -{letter} has no counterpart")
            yield name, ""

    def _next(self, option: str, rest: Iterator[str]) -> str:
        value = next(rest, None)
        if value is None:
            raise NotUnderstood(f"{self.program}: the option {option} has no value")
        return value


def options(program: str, flags: str, valued: str) -> Options:
    """Make options of words such as `s/silent` (with a letter) and `retry` (without)."""
    letters: dict[str, str] = {}
    names: tuple[set[str], set[str]] = (set(), set())
    for words, known in zip((flags, valued), names, strict=True):
        for word in words.split():
            letter, slash, name = word.rpartition("/")
            known.add(name)
            if slash:
                letters.update(dict.fromkeys(letter, name))
    return Options(program, frozenset(names[0]), frozenset(names[1]), letters)
