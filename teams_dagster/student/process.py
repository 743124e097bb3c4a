"""What a training's own process does around the training: it says how far it is, and writes down why it failed.

Nothing of Dagster is here: where Dagster started the process, its Pipes protocol carries progress and errors, else
they are printed.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import dagster_pipes

from teams_dagster.student.adapter_config import FAILURE, LOCK, ProcessRequest
from teams_dagster.student.failures import why_it_failed
from teams_dagster.student.isolation import alone_in

Say = Callable[[str], None]


def carry_out(request: ProcessRequest, train: Callable[[Say], None], advice: str, *, first: bool = True) -> int:
    """Trains alone in the request's folder; the exit code is 1 when that failed, and `failure.txt` then says why.

    Args:
        train: The training; it is given what takes its news.
        advice: Which settings take less memory, where that runs out.
        first: Whether this is the only process of the training, or the first of several.
    """
    with _telling(first) as (say, complain):
        try:
            with alone_in(request.folder / LOCK) if first else nullcontext():
                (request.folder / FAILURE).unlink(missing_ok=True)
                train(say)
        except Exception as error:
            (request.folder / FAILURE).write_text(why_it_failed(error, advice), encoding="utf-8")
            complain("".join(traceback.format_exception(error)))
            return 1
    return 0


@contextmanager
def _telling(first: bool) -> Iterator[tuple[Say, Say]]:
    """Where news and errors go: into the Dagster run, where there is one, from the first process."""
    if first and dagster_pipes.PipesEnvVarParamsLoader().is_dagster_pipes_process():
        with dagster_pipes.open_dagster_pipes() as pipes:
            yield pipes.log.info, pipes.log.error
    else:
        yield print, lambda text: print(text, file=sys.stderr)
