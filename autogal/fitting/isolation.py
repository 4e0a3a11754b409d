"""Cutouts that are fitted together, and yet fail alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from autogal.errors import AutogalError
from autogal.images import Cutout, unexpected
from autogal.model.fitted import Fitted

__all__ = ["isolated"]

_log = logging.getLogger(__name__)


def isolated(work: Callable[[Sequence[Cutout]], Fitted], cutouts: Sequence[Cutout]) -> Fitted:
    """What `work` makes of cutouts together; where that fails, of its halves, down to the one for which it
    does.

    Parameters
    ----------
    work : callable
        Gives one row a cutout. It may replace what a cutout refers to (mask, start) and add to its notes,
        which is undone before another try; it must not write into the arrays themselves.
    cutouts : sequence of Cutout
        One for which `work` fails gets an ``error`` and is given to it again: it must make a row of such.

    Returns
    -------
    Fitted
        One row a cutout, in order.

    Raises
    ------
    AutogalError
        What `work` raises of a request that makes no sense.
    """
    before = [
        (cutout.mask, cutout.start, cutout.flags, cutout.error, list(cutout.notes), list(cutout.warnings))
        for cutout in cutouts
    ]
    failure = None
    try:
        return work(cutouts)
    except AutogalError:
        raise
    except Exception as error:
        failure = unexpected("fitted", error)
        if len(cutouts) == 1:
            if cutouts[0].error is not None:
                raise
            _log.warning("%s: %s", cutouts[0].id, failure)
            _log.info("%s: this is where it failed", cutouts[0].id, exc_info=error)
    # the exception is gone here, and with it what its frames held on the device
    for cutout, state in zip(cutouts, before, strict=True):
        cutout.mask, cutout.start, cutout.flags, cutout.error, cutout.notes, cutout.warnings = state
    if len(cutouts) == 1:
        cutouts[0].fail(failure)
        return work(cutouts)
    _log.info("%d cutouts could not be fitted together (%s): trying them in halves", len(cutouts), failure)
    half = len(cutouts) // 2
    return Fitted.join([isolated(work, cutouts[:half]), isolated(work, cutouts[half:])])
