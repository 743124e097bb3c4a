"""`teams ui`: nothing that it started goes on when it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.processes import ends

SERVICES = """
import signal, subprocess, sys
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(service.pid, flush=True)
service.wait()
"""
"""Stands for `dagster dev`: it starts a service, which goes on by itself."""

UI = f"""
import signal, sys
import teams_dagster.cli.ui as ui
ui.PATIENCE_S = 0.2 if sys.argv[1] == "stubborn" else 60.0
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for what a shell starts with `&`
sys.exit(ui.run_until_asked([sys.executable, "-c", {SERVICES!r}, sys.argv[1]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("services", ["willing", "stubborn"])
def test_ending_the_ui_ends_the_services(number: signal.Signals, services: str) -> None:
    with subprocess.Popen([sys.executable, "-c", UI, services], stdout=subprocess.PIPE, text=True) as ui:
        assert ui.stdout is not None
        service = int(ui.stdout.readline())
        os.kill(ui.pid, number)
        assert ends(ui.pid)
    assert ends(service)
