from __future__ import annotations

import subprocess
import sys


def test_what_every_run_imports_of_the_student_loads_no_torch() -> None:
    light = "adapter_config, chat, corpus, curves"
    code = f"import sys; from teams_dagster.student import {light}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
