"""Errors: what a failure means for the caller, and nothing else.

Every failure of this project is one of two: it may pass if the caller waits, or it will not.
"""


class NenghaoError(Exception):
    """Base of both; never raised itself."""


class TransientError(NenghaoError):
    """It may pass: hold what you have, back off with jitter, try again."""


class PermanentError(NenghaoError):
    """It will not pass: count it under its reason, set the payload aside, go on."""
