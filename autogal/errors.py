"""The one exception a user of autogal meets."""

__all__ = ["AutogalError"]


class AutogalError(Exception):
    """Something the user can put right: what is wrong, and what to do about it.

    It is raised only where the whole run would be meaningless. What is wrong
    with a single object becomes a flag and a message in that object's row.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    remedy : str, optional
        What to do about it, in one sentence.
    """

    def __init__(self, what: str, remedy: str = ""):
        # Both go to the base class, so that the exception survives pickling.
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n{self.remedy}" if self.remedy else self.what
