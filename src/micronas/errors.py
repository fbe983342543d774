"""What a user can mend, in one clear line instead of a traceback, and what they should know."""


class UserError(Exception):
    """One clear line for the user: what is wrong, and what to do about it."""

    exit_code: int = 2

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"error: {' '.join(str(self).split())}"]


class Notice(UserWarning):
    """One line for the user about what is done otherwise than they might think: a cache or a table that is not used."""
