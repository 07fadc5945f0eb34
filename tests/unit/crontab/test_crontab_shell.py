"""Words are what a shell makes of them: asked is the shell itself."""

import shutil
import subprocess
import tempfile
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thorough import times

from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.shell import TODAY, read_command

VARIABLES = {"A": "one", "B": "two words", "EMPTY": "", "Q": 'it\'s "q" \\ $A'}
SHELLS = [each for each in ("/bin/dash", "/bin/bash") if shutil.which(each)]
PIECES = st.one_of(
    st.sampled_from(["$A", "${A}", "$B", '"$B"', "$EMPTY", '"$EMPTY"', '"${Q}"', "\\$A", '"\\$A"']),
    st.text("ab./:=@%+,-", min_size=1, max_size=4),
    st.text("ab '\"\\$#&|;".replace("'", ""), max_size=5).map(lambda each: f"'{each}'"),
    st.text("ab '#&|;()<>", max_size=5).map(lambda each: f'"{each}"'),
    st.sampled_from(["\\ ", "\\'", '\\"', "\\\\", "\\a", "''", '""', "#", "a#b", "ü"]),
    st.just(" "),
)
COMMANDS = st.lists(PIECES, max_size=8).map("".join)
ANYTHING = st.text("ab '\"\\$#{}A \t=", max_size=14)


def by_shell(shell, text):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [shell, "-c", f"printf '%s\\0' x {text}"],
            env=VARIABLES, cwd=folder, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
    return done.returncode, done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=times(150), deadline=None)
@given(st.one_of(COMMANDS, ANYTHING))
@example("$B\"$B\"'$B'")
@example("$EMPTY# $B#c #d")
@example("a\\")
@example('"a\\a\\\\"')
def test_words_are_those_of_the_shell(shell, text):
    try:
        steps = read_command(f"x {text}", VARIABLES, lambda command: False)
    except NotUnderstood:
        return
    if len(steps) > 1 or steps[0].outputs:
        return
    status, words = by_shell(shell, text)
    assert (status, steps[0].words) == (0, words)


def test_steps_have_their_operators_and_outputs():
    text = "a 1 >o 2>&1 && b|c 2>>e; d &>f || g >&2"
    found = read_command(text, {}, lambda command: False)
    assert [(s.joint, s.words, s.outputs) for s in found] == [
        ("", ["a", "1"], ["o"]), ("&&", ["b"], []), ("|", ["c"], ["e"]), (";", ["d"], ["f"]),
        ("||", ["g"], []),
    ]  # fmt: skip


def test_only_what_gives_the_day_is_put_in():
    asked = []

    def today(command):
        asked.append(command)
        return "day" in command

    (step,) = read_command('x a$(the day)b `day` "$(day (x))"', {}, today)
    assert step.words == ["x", f"a{TODAY}b", TODAY, TODAY]
    assert asked == ["the day", "day", "day (x)"]
    with pytest.raises(NotUnderstood):
        read_command("x $(rm -rf /)", {}, today)


@settings(max_examples=times(300), deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(text):
    with suppress(NotUnderstood):
        assert read_command(text, {}, lambda command: False)
