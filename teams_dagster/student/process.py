"""What a training's own process does around the training: it says how far it is, and writes down why it failed.

Nothing of Dagster is here: where Dagster started the process, its Pipes protocol carries progress and errors, else
they are printed.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

import dagster_pipes

from teams_dagster.student.adapter_config import FAILURE, LOCK, AdapterConfig, ProcessRequest
from teams_dagster.student.isolation import alone_in

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a process that was killed, and of a shell whose process was."""


def why_it_failed(error: BaseException, advice: str) -> str:
    """The cause in words; where memory ran out, with the `advice` on settings that need less."""
    said = f"{type(error).__name__}: {error}".strip().removesuffix(":")
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or _tells_of_memory(str(error)):
        return f"out of memory ({said.splitlines()[0]}). {advice}"
    return said


def why_it_ended(code: int, advice: str, *, launched: bool = False) -> str:
    """What an exit code means where the training could not say anything itself; `advice` is on memory."""
    if code in KILLED:
        return f"was killed (exit code {code}), probably because memory ran out. {advice}"
    if code < 0:
        return f"was ended by signal {signal.Signals(-code).name}: its last lines are in the step's standard error"
    if launched:
        return (
            f"ended with its launcher, code {code}; the lines in the step's standard error say which process failed."
            f" If one was killed, memory probably ran out. {advice}"
        )
    return f"ended with code {code}: its last lines are in the step's standard error"


def less_memory(config: AdapterConfig) -> str:
    """What to change so that a training with these settings takes less memory, the gentlest first."""
    advice: list[str] = []
    if config.batch_size > 1:
        twice = config.gradient_accumulation * 2
        advice.append(f"batch_size {config.batch_size // 2} with gradient_accumulation {twice} (the same update)")
    if config.gradient_checkpointing is not True:
        advice.append("gradient_checkpointing: true")
    if config.kind != "qlora":
        advice.append("qlora_model instead" if config.kind == "lora" else "an adapter instead of every weight")
    advice.append(f"a max_length below {config.max_length} (longer examples are left out)")
    return f"Less memory takes: {', '.join(advice)}"


def _tells_of_memory(text: str) -> bool:
    return any(words in text for words in ("out of memory", "can't allocate memory", "Cannot allocate memory"))


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
def _telling(first: bool) -> Generator[tuple[Say, Say]]:
    """Where news and errors go: into the Dagster run, where there is one, from the first process."""
    if first and dagster_pipes.PipesEnvVarParamsLoader().is_dagster_pipes_process():
        with dagster_pipes.open_dagster_pipes() as pipes:  # pyright: ignore[reportUnknownMemberType] (Dagster's own)
            yield pipes.log.info, pipes.log.error
    else:
        yield print, lambda text: print(text, file=sys.stderr)
