"""Checks of the configuration: its files, what they say, and the secrets that they name."""

from collections.abc import Iterator

from syncd.config import secrets
from syncd.config.configuration import Config
from syncd.config.load import load
from syncd.config.problems import ConfigInvalid, key_path
from syncd.config.references import secret_references
from syncd.doctor.case import Case
from syncd.doctor.files import judge
from syncd.doctor.finding import Finding, failed, many, ok, skipped, warning
from syncd.errors import ConfigurationError


def valid(case: Case) -> Iterator[Finding]:
    """Read the files again, in the daemon as a reload would: with the secrets."""
    try:
        read = load(case.file, case.environ, check_secrets=case.daemon is not None)
    except ConfigInvalid as error:
        for problem in error.problems:
            yield failed(str(problem), "mend it; a running daemon keeps what it has until then")
        return
    yield judge_valid(read, case.config)


def judge_valid(read: Config, in_force: Config) -> Finding:
    """Judge what the files say against what is in force."""
    jobs, accounts = len(read.enabled_jobs()), len(read.accounts)
    if read.digest != in_force.digest:
        return warning("the files have changed since they were taken up", "syncd reload")
    found = many(len(read.files), "file"), many(jobs, "enabled job"), many(accounts, "account")
    return ok(", ".join([*found, many(len(read.servers), "server")]))


def warnings(case: Case) -> Iterator[Finding]:
    """Tell what is valid, but can't do what it says."""
    for text in case.config.warnings:
        yield warning(text, "see syncd check")
    if not case.config.warnings:
        yield ok("none")


def files(case: Case) -> Iterator[Finding]:
    """Judge the rights of the files."""
    for file in case.files:
        yield judge(file, case.user)


def references(case: Case) -> Iterator[Finding]:
    """Read each secret that would be used."""
    found = {key_path(path): each for path, each in secret_references(case.config).items()}
    for key, secret in found.items():
        if case.unknowable(secret):
            yield skipped(f"{secret} can only be read by the service, and no daemon answers",
                          subject=key)  # fmt: skip
            continue
        try:
            secrets.resolve(secret, case.environ)
        except ConfigurationError as error:
            yield failed(
                str(error), f"mend the reference, or what it names ({secret})", subject=key
            )
        else:
            yield ok(str(secret), subject=key)
    if not found:
        yield skipped("no secret is needed")
