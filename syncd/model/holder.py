"""Names of what may be refused and is held then: an account by its own name, a token apart.

No account's name has a blank, so that none is taken for a token.
"""

from typing import Final

_TOKENS: Final = "token "


def token_holder(name: str) -> str:
    """Return the name under which a token is held: `token iam`."""
    return f"{_TOKENS}{name}"


def is_token(holder: str) -> bool:
    """Tell whether a holder is a token."""
    return holder.startswith(_TOKENS)


def holder_words(holder: str) -> str:
    """Return a holder in words: `account prod`, `token iam`."""
    return holder if is_token(holder) else f"account {holder}"
