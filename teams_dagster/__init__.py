"""TeaMs-RL and RLGF as a method: plain Python, no Dagster, usable from a notebook.

What `from teams_dagster import ...` gives is the public API: it changes only with a line in CHANGELOG.md. Every other
module may change with any version. A name is imported when it is first used, so that `import teams_dagster` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teams_dagster.core.instruction import Instruction
    from teams_dagster.core.operations import Operation
    from teams_dagster.core.protocol import Role
    from teams_dagster.environment.gymnasium import InstructionEnv, InstructionVectorEnv, Task
    from teams_dagster.environment.reward import RewardConfig
    from teams_dagster.environment.transition import Environment
    from teams_dagster.instructions.novelty import Pool
    from teams_dagster.instructions.seeds import load_seeds
    from teams_dagster.ledger.budgets import Budget, Budgets
    from teams_dagster.ledger.costs import costs_by, total_cost
    from teams_dagster.ledger.writer import Ledger
    from teams_dagster.lineage.trace import trace
    from teams_dagster.llm.context import CallContext
    from teams_dagster.llm.engine import Engine
    from teams_dagster.policy.checkpoint import Checkpoint
    from teams_dagster.policy.comparison.compare import ComparisonConfig, compare
    from teams_dagster.policy.comparison.contenders import Contender, baseline_contenders
    from teams_dagster.policy.config import TrainingConfig
    from teams_dagster.policy.training import train
    from teams_dagster.pricing.prices import load_prices

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "Budgets",
    "CallContext",
    "Checkpoint",
    "ComparisonConfig",
    "Contender",
    "Engine",
    "Environment",
    "Instruction",
    "InstructionEnv",
    "InstructionVectorEnv",
    "Ledger",
    "Operation",
    "Pool",
    "RewardConfig",
    "Role",
    "Task",
    "TrainingConfig",
    "baseline_contenders",
    "compare",
    "costs_by",
    "load_prices",
    "load_seeds",
    "total_cost",
    "trace",
    "train",
]

_MODULES = {
    "Budget": "ledger.budgets",
    "Budgets": "ledger.budgets",
    "CallContext": "llm.context",
    "Checkpoint": "policy.checkpoint",
    "ComparisonConfig": "policy.comparison.compare",
    "Contender": "policy.comparison.contenders",
    "Engine": "llm.engine",
    "Environment": "environment.transition",
    "Instruction": "core.instruction",
    "InstructionEnv": "environment.gymnasium",
    "InstructionVectorEnv": "environment.gymnasium",
    "Ledger": "ledger.writer",
    "Operation": "core.operations",
    "Pool": "instructions.novelty",
    "RewardConfig": "environment.reward",
    "Role": "core.protocol",
    "Task": "environment.gymnasium",
    "TrainingConfig": "policy.config",
    "baseline_contenders": "policy.comparison.contenders",
    "compare": "policy.comparison.compare",
    "costs_by": "ledger.costs",
    "load_prices": "pricing.prices",
    "load_seeds": "instructions.seeds",
    "total_cost": "ledger.costs",
    "trace": "lineage.trace",
    "train": "policy.training",
}
"""Where each public name is, below this package."""


def __getattr__(name: str) -> Any:
    """Import the module of a public name. Called once for each name: the value is kept in the package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its public names are in __all__")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
