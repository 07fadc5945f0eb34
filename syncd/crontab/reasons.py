"""Why a line was left alone."""


class NotUnderstood(Exception):
    """A line does what a job can't say, or can't say for certain; the message says what."""
