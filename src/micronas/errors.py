"""The error whose message is meant for the user, not for a developer."""


class UserError(Exception):
    """One clear line for the user: what is wrong and what to do."""

    exit_code: int = 2
