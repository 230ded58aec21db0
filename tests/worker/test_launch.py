"""Command lines and environments of templates and cold workers."""

from __future__ import annotations

import os
import subprocess
import sys

from actorfaas.worker.launch import cold_command, template_command


def test_a_template_runs_the_platform_under_the_given_interpreter() -> None:
    command = template_command("/venv/bin/python", 7, 1000, {})
    assert command.argv[:2] == ("/venv/bin/python", "-P")
    assert command.argv[2].endswith("worker/bootstrap.py")
    assert command.argv[4:] == ("template", "7")
    assert command.pass_fds == (7,)


def test_a_cold_worker_is_given_its_two_descriptors() -> None:
    command = cold_command("", 5, 6, 1000, {})
    assert command.argv[0] == sys.executable
    assert command.argv[4:] == ("cold", "5", "6")
    assert command.pass_fds == (5, 6)


def test_every_worker_is_spared_what_the_platform_can_do_without() -> None:
    """A library more is five mappings more in each of a thousand workers, also in those that are in swap."""
    code = "import sys, actorfaas.worker.template, actorfaas.worker.cold; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert not {"argparse", "asyncio", "bz2", "lzma", "shutil", "zlib"} & set(result.stdout.split())


def test_settings_of_the_node_are_not_passed_on() -> None:
    given = {"PATH": "/bin", "ACTORFAAS_API_TOKEN": "secret", "ACTORFAAS_DATA_DIR": "/x", "HOME": "/h"}
    env = template_command("python", 7, 1000, given).env
    assert "secret" not in env.values()
    assert {name for name in env if name.startswith("ACTORFAAS_")} == {"ACTORFAAS_LOG_LIMIT_BYTES"}
    assert (env["PATH"], env["HOME"], env["ACTORFAAS_LOG_LIMIT_BYTES"]) == ("/bin", "/h", "1000")


def test_numerical_libraries_start_no_threads_unless_told_to() -> None:
    env = template_command("python", 7, 1000, {"OMP_NUM_THREADS": "4"}).env
    assert (env["OPENBLAS_NUM_THREADS"], env["OMP_NUM_THREADS"]) == ("1", "4")


def test_the_platforms_folders_come_last_and_the_platform_is_its_own() -> None:
    command = template_command(sys.executable, 7, 1000, dict(os.environ))
    code = (
        "import sys; sys.argv = ['bootstrap', sys.argv[1], 'none']\n"
        "sys.modules['actorfaas.worker.cold'] = type(sys)('cold')\n"
        "seen = []\n"
        "sys.modules['actorfaas.worker.cold'].main = lambda: seen.append(list(sys.path))\n"
        "import runpy; before = list(sys.path)\n"
        f"runpy.run_path({command.argv[2]!r}, run_name='__main__')\n"
        "assert seen[0][:len(before)] == before, seen\n"
        "import actorfaas; print(actorfaas.__file__)\n"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code, "/nowhere/at/all"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert result.stdout.strip().endswith("actorfaas/__init__.py")
