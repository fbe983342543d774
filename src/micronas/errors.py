"""The error a user can mend: one clear line instead of a traceback."""


class UserError(Exception):
    """One clear line for the user: what is wrong, and what to do about it."""

    exit_code: int = 2
