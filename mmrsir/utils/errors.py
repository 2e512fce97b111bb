"""Errors that a user can mend."""


class UserError(Exception):
    """An error whose message says what to do: the tools print it without a traceback."""


class InvalidValueError(UserError, ValueError):
    """A value is not allowed, or does not go with another one."""


class InvalidTypeError(UserError, TypeError):
    """A value has a type that is not allowed."""
