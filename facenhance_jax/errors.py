"""The one error that a person, not the program, has to mend."""


class InputError(ValueError):
    """Bad input: the message is one line that names the file or field, what is wrong with it, and what to do.

    Commands print the message and exit with status 2; every other exception is a fault of ours and keeps its traceback.
    """
