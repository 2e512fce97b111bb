"""What all errors have in common that a user can mend."""


class UserError(Exception):
    """An error whose message says what to do: the tools print it without a traceback."""
