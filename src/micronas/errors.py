"""What a user did that cannot work, said in one line."""


class UserError(Exception):
    """One clear line for the user: what is wrong and what to do."""

    exit_code: int = 2
