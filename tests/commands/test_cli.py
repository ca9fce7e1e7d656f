"""The command line: how it answers wrong use, and that a start stays quick."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest

from driftsonde.adapters.settings import variables
from driftsonde.cli import COMMANDS, cli, main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert isinstance(stopped.value.code, int)
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(name in out and entry.summary in out for name, entry in COMMANDS.items())


@pytest.mark.io  # an import of the demo's looks whether the machine has IPv6
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_there_and_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert f"driftsonde {command}" in out


def test_settings_lists_all_variables(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "settings")
    assert status == 0
    assert all(f"`{variable.name}`" in out for variable in variables())
    assert "`CONTROLLER_URL`" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version")[:2] == (0, "driftsonde, version 0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("repaly",), "No such command 'repaly'."),
        (("replay",), "Missing argument 'FILE'."),
        (("replay", "absent.csv"), "Invalid value for 'FILE': File 'absent.csv' does not exist."),
        (("replay", "log.csv", "--windw", "1h"), "No such option: --windw"),
        (("replay", "log.csv", "--window", "soon"), "'soon' is not a duration"),
        (("replay", "log.csv", "--window", "1ms"), "window: expected 1s to 366d, not 1 ms"),
        (("replay", "log.csv", "--task", "ranking"), "'ranking' is not one of"),
        (("replay", "log.csv", "--features", "x,,y"), "expected different names, separated by commas"),
        (("replay", "log.csv", "--model", "a/b"), "--model: expected"),
        (("replay", "log.csv", "--label", "truth"), "--label: the file has no column 'truth'"),
        (("replay", "log.csv", "--baseline", "log.csv"), "log.csv: not JSON"),
        (("replay", "log.csv", "--policy", "typo.toml"), "typo.toml: drift.pis: unknown; expected one of"),
        (("replay", "empty.csv"), "empty.csv: is empty"),
        (("replay", "header.csv"), "header.csv: has no rows"),
        (("replay", "bad.csv"), "bad.csv: none of its 2 rows can be read; line 2: timestamp: 'x' is no time"),
        (("replay", "three.csv", "--task", "binary"), "a binary task has two classes"),
        (("register", "typo.toml", "--version", "1"), "typo.toml: "),
        (("register", "spec.toml", "--data", "log.csv"), "--version is needed"),
        (("register", "spec.toml", "--version", "1", "--data", "three.csv"), "has the class '3'"),
        (("digest", "--table", "nothing"), "'nothing' is not one of"),
        (("topics", "create", "--partitions", "0"), "0 is not in the range"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    arguments: tuple[str, ...],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {
        "log.csv": "timestamp,x,prediction,label\n1,1,0,1\n2,2,1,1\n",
        "three.csv": "timestamp,prediction\n1,1\n2,2\n3,3\n",
        "empty.csv": "",
        "header.csv": "timestamp,prediction\n",
        "bad.csv": "timestamp,prediction\nx,1\ny,0\n",
        "typo.toml": "[drift]\npis = 0.1\n",
        "spec.toml": 'name = "m"\ntask = "multiclass"\nclasses = ["1", "2"]\n',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("driftsonde: ")
    assert err.count("\n") == 1
    assert problem in err


def test_a_wrong_setting_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIFTSONDE_CLICKHOUSE_PORT", "http")
    assert run(capsys, "migrate")[::2] == (
        2,
        "driftsonde: DRIFTSONDE_CLICKHOUSE_PORT: expected a whole number, at least 1, at most 65535, not 'http'\n",
    )


@pytest.mark.io
@pytest.mark.parametrize("arguments", [("migrate",), ("digest",), ("topics", "create")])
def test_a_world_that_is_not_there_is_status_1(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIFTSONDE_CLICKHOUSE_PORT", "1")
    monkeypatch.setenv("DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr(
        "driftsonde.adapters.kafka.ensure_topics.__kwdefaults__",
        {"partitions": 4, "replication": 1, "timeout_s": 1.0},
    )
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert err.startswith(("driftsonde: ClickHouse: ", "driftsonde: Kafka: "))


@pytest.mark.io  # bash is asked for its version
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_this_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "completion", shell)
    assert status == 0
    assert "driftsonde" in out
    assert "_DRIFTSONDE_COMPLETE" in out


@pytest.mark.io
def test_bash_completes_commands_and_options() -> None:
    """What bash does at a Tab, with the script that `completion bash` prints."""
    script = """
        driftsonde() { "$PYTHON" -c 'from driftsonde.cli import main; main()' "$@"; }
        export -f driftsonde
        mkdir bin; printf '#!/bin/bash\\ndriftsonde "$@"\\n' > bin/driftsonde; chmod +x bin/driftsonde; PATH="$PWD/bin:$PATH"
        eval "$(driftsonde completion bash)"
        for words in "driftsonde sta" "driftsonde status --j"; do
            COMP_WORDS=($words) COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
            _driftsonde_completion driftsonde
            echo "${COMPREPLY[*]}"
        done
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines() == ["standalone status", "--json"]


def test_every_command_that_prints_results_has_them_as_json() -> None:
    """All but those that go on until they are ended, and the script for a shell."""
    context = click.Context(cli)
    without = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        leaves = command.commands.values() if isinstance(command, click.Group) else [command]
        without += [
            leaf.name for leaf in leaves if not any("--json" in option.opts for option in leaf.params)
        ]
    assert without == ["completion", "standalone"]


def test_settings_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "settings", "--json")
    assert status == 0
    known = {entry["name"]: entry["default"] for entry in json.loads(out)}
    assert known["DRIFTSONDE_CLICKHOUSE_PORT"] == "8123"
    assert known["DRIFTSONDE_CLICKHOUSE_PASSWORD"] is None


@pytest.mark.io
def test_a_start_imports_no_command_s_own_modules() -> None:
    program = "import sys, driftsonde.cli; print(sorted(m for m in sys.modules if m in sys.argv))"
    heavy = ["numpy", "pyarrow", "confluent_kafka", "faust", "clickhouse_connect", "rich", "pydantic"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
