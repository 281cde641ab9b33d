"""Importing the package on an unsupported platform raises an error that says what to do."""

import subprocess
import sys

IMPORT_ON_WINDOWS = """
import sys
sys.platform = "win32"
try:
    import dataart_mp
except ImportError as error:
    print(error)
"""


def test_importing_on_windows_names_the_supported_platforms_and_wsl() -> None:
    command = [sys.executable, "-c", IMPORT_ON_WINDOWS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == (
        "dataart_mp supports Linux and macOS; on Windows, run it in WSL "
        "(Windows Subsystem for Linux)\n"
    )
