"""Progress of fits: reports to the callbacks of scikit-learn, and a bar with `verbose`."""

import logging
import sys
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import parent_process
from threading import current_thread, main_thread

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:
        """An estimator without callbacks."""

        def _init_callback_context(self, **_):
            return _Silence()

    def with_callbacks(method):
        """Return the method."""
        return method


logger = logging.getLogger(__package__)


class ProgressMixin(CallbackSupportMixin):
    """An estimator that reports the progress of its fit."""

    @contextmanager
    def _report(self, X, y=None, sample_weight=None, *, n_tasks=0):
        """Report a fit, and yield a function ``follow(results, name)`` that reports its tasks.

        `results` may be lazy and has one item per task. The function yields these items.
        """
        weights = None if sample_weight is None else {"sample_weight": sample_weight}
        data = dict(estimator=self, X=X, y=y, metadata=weights)
        try:
            context = self._init_callback_context(max_subtasks=n_tasks)
            context.call_on_fit_task_begin(**data)
            yield partial(_follow, self, context, n_tasks)
            # The attributes that the estimator still lacks to predict: none.
            context.call_on_fit_task_end(**data, reconstruction_attributes={})
        finally:
            _end_fit(self)


@with_callbacks
def _end_fit(estimator):
    """Do nothing: `with_callbacks` ends the report when this function returns."""


def _follow(estimator, context, n_tasks, results, name):
    """Yield the results of the tasks of a fit, and report each."""
    results = iter(results)
    with _make_bar(estimator, n_tasks, name) as bar:
        for _ in range(n_tasks):
            task = context.subcontext(task_name=name)
            task.call_on_fit_task_begin(estimator=estimator)
            result = next(results)
            task.call_on_fit_task_end(estimator=estimator)
            if bar is not None:
                bar.update()
            yield result
    yield from results  # there are none, but this lets the iterator end


def _make_bar(estimator, n_tasks, name):
    """Make a progress bar, or None if it is not requested or nobody would see it."""
    if not (logger.isEnabledFor(logging.INFO) and _is_watched()):
        return nullcontext()
    # Without ipywidgets, tqdm.auto warns in a notebook, and shows the bar of tqdm.
    module = "tqdm.auto" if find_spec("ipywidgets") else "tqdm"
    make_bar = import_module(module).tqdm
    return make_bar(total=n_tasks, desc=type(estimator).__name__, unit=name, leave=False)


def _is_watched():
    """Return whether there is a terminal or a notebook, and this is not one of many workers."""
    if parent_process() is not None or current_thread() is not main_thread():
        return False
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


class _Silence:
    """Stand-in for the context of a fit if there are no callbacks."""

    def subcontext(self, **_):
        return self

    def call_on_fit_task_begin(self, **_):
        pass

    def call_on_fit_task_end(self, **_):
        pass
