"""Say all that is wrong at once, though a part of it is found by what raises at the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ansible.errors import AnsibleFilterError

Made = TypeVar("Made")


def collected(problems: list[str], make: Callable[[], Made], otherwise: Made) -> Made:
    """Return what a function makes, or put what it raises to the other problems and return something else.

    :param problems: sentences, to which that of the error is added
    :param make: raises AnsibleFilterError for what the user has to mend
    """
    try:
        return make()
    except AnsibleFilterError as error:
        problems.append(str(error))
        return otherwise
