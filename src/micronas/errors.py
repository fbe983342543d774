"""Errors that are the user's to mend: shown as one line, without a traceback."""


class UserError(Exception):
    """One clear line for the user: what is wrong and what to do. The command line exits with `exit_code`."""

    exit_code: int = 2
