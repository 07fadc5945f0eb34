"""Names of users, for the records of who asked."""

import pwd


def user_name(uid: int) -> str:
    """Return the name of a user, the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
