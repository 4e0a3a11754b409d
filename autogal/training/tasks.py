"""The networks that can be trained, by name, and those of the user's own."""

from __future__ import annotations

from importlib import import_module

from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.runtime.references import is_reference, load_reference
from autogal.training.task import Task

__all__ = ["TASKS", "build_task"]

#: Module and function that make the task of settings; imported when asked for
TASKS = {
    "initialiser": "autogal.training.initialiser.task:initialiser_task",
    "segmenter": "autogal.training.segmenter.task:segmenter_task",
}

_FORM = (
    "Write name: MODULE:FUNCTION in network/NAME.yaml; FUNCTION(settings) makes an "
    "autogal.training.task.Task."
)


def build_task(settings: DictConfig) -> Task:
    """The network that a configuration names, ready to be trained.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``; ``network.name`` is one of `TASKS`, or MODULE:FUNCTION.

    Raises
    ------
    AutogalError
        Where there is none of that name, or it is no task.
    """
    name = str(settings.network.name)
    if is_reference(name):
        task = load_reference(name, "a training task", callable, _FORM)(settings)
        if not isinstance(task, Task):
            raise AutogalError(f"{name} makes a {type(task).__name__}, not a Task.", _FORM)
        return task
    if name not in TASKS:
        raise AutogalError(
            f"There is no network called {name!r}.",
            f"Choose one of: {', '.join(TASKS)}; or your own: {_FORM}",
        )
    module, function = TASKS[name].split(":")
    return getattr(import_module(module), function)(settings)
