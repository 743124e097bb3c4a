"""Imported by the process that steps are forked from, and by no other: it ends with its parent, and each step with it.

The parent is the command that runs the graph, however that ended. A step that outlived its run would go on writing
where the next run writes.
"""

import os

from teams_dagster.student.isolation import die_with


def _die_with_parent() -> None:
    die_with(os.getppid())


_die_with_parent()
os.register_at_fork(after_in_child=_die_with_parent)
