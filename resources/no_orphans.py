"""Imported by the process that steps are forked from, and by no other: each step ends when that one has.

It ends with the command that started it, however that went: a step that outlived its run would go on writing where the
next run writes.
"""

import os

from teams_dagster.student.isolation import die_with

_FORKING = os.getpid()

os.register_at_fork(after_in_child=lambda: die_with(_FORKING))
