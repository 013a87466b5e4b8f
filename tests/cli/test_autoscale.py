"""`kubectl batch autoscale`: evaluate asks the operator and applies nothing; simulate needs no cluster."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.cli.stage import User

from batchpools.cli import __main__ as command
from batchpools.cli.access import CliError
from batchpools.cli.plot import Line, as_svg, as_text

PATH = "/apis/ops.batchpools.dev/v1beta1/namespaces/default/pools/demo/evaluate"
FOLLOW = """
$TargetDedicatedNodes = min(4, $PendingTasks.GetSample(1) / $TaskSlotsPerNode);
$NodeDeallocationOption = taskcompletion;
"""
SAMPLES = "time,PendingTasks,$CPUPercent\n0,0,\n30,8,0.5\n60,9,0.9\n90,2,0.1\n120,0,0\n"


def answering(**told: object) -> User:
    user = User()
    user.cluster.answers[PATH] = [json.dumps({"formula": "x", **told}).encode()]
    return user


async def test_evaluate_prints_each_variable() -> None:
    user = answering(results="$TargetDedicatedNodes=3;$NodeDeallocationOption=requeue;a=[1,2]")
    assert await user.types("autoscale", "evaluate", "demo", "--show-kubectl") == 0
    assert user.lines == ["$TargetDedicatedNodes=3", "$NodeDeallocationOption=requeue", "a=[1,2]"]
    assert user.notes == [f"$ kubectl create --raw '{PATH}' -f - <<< '{{}}'"]


async def test_a_formula_of_a_file_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "formula"
    file.write_text("a = 1;\n")
    user = answering(results="a=1")
    assert await user.types("autoscale", "evaluate", "demo", "--formula", str(file)) == 0
    assert user.cluster.sent == [(PATH, {"formula": "a = 1;\n"})]
    with pytest.raises(CliError, match="the formula cannot be read"):
        await user.types("autoscale", "evaluate", "demo", "--formula", str(tmp_path / "none"))


async def test_what_is_wrong_is_told_with_the_caret_and_the_place() -> None:
    error = {
        "code": "InsufficientSampleData",
        "message": "no data",
        "values": [{"name": "Message", "value": "Line 1, Col 2: x"}],
    }
    with pytest.raises(CliError) as caught:
        await answering(error=error).types("autoscale", "evaluate", "demo")
    assert str(caught.value) == "InsufficientSampleData: no data\nLine 1, Col 2: x"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "formula").write_text(FOLLOW)
    (tmp_path / "samples.csv").write_text(SAMPLES)
    return [str(tmp_path / "formula"), "--samples", str(tmp_path / "samples.csv"), "--interval", "30s"]


def test_simulate_tells_each_change_and_draws_it(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    svg = tmp_path / "chart.svg"
    assert command.main(["autoscale", "simulate", *files, "--slots", "2", "--svg", str(svg)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[::2] for line in told[:4]] == [
        (
            f"2026-01-01T00:0{at}Z",
            f"$TargetDedicatedNodes={nodes};$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion",
        )
        for at, nodes in (("0:00", 0), ("0:30", 4), ("1:30", 1), ("2:00", 0))
    ]
    assert [line.strip() for line in told if line.strip().startswith("$") and "=" not in line] == [
        "$TargetDedicatedNodes + low priority",
        "$CPUPercent",
        "$PendingTasks",
    ]
    drawn = ET.fromstring(svg.read_text())  # noqa: S314 (our own)
    assert len(drawn.findall("{http://www.w3.org/2000/svg}path")) == 1 + 3


def test_simulate_says_where_samples_are_missing(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "formula").write_text("$TargetDedicatedNodes = max($PendingTasks.GetSample(TimeInterval_Minute, 100))")
    assert command.main(["autoscale", "simulate", *files]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("Line 1, Col 43: Insufficient data from data set: $PendingTasks wanted 100%, received 50%")
    assert told[1].endswith("$TargetDedicatedNodes=8;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue")


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ("", "a header and 1 to 1000000 rows"),
        ("PendingTasks\n1\n", "line 1: one column time"),
        ("time,time\n1,1\n", "line 1: one column time"),
        ("time,Tasks\n1,1\n", "line 1: 'Tasks' is neither time nor a variable"),
        ("time,PendingTasks\n1\n", "line 2: 2 cells are expected, not 1"),
        ("time,PendingTasks\nsoon,1\n", "line 2: 'soon' is neither a number of seconds nor an ISO time"),
        ("time,PendingTasks\n1e300,1\n", "line 2: '1e300' is neither"),
        ("time,PendingTasks\n0,many\n", "line 2: 'many' is no number"),
        ("time,PendingTasks\n0,nan\n", "line 2: 'nan' is no number"),
        ("time,PendingTasks\n0,1\n1e9,1\n", "more than 100000 evaluations"),
        (None, "the samples cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_gets_a_sentence(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], samples: str | None, words: str
) -> None:
    if samples is None:
        (tmp_path / "samples.csv").unlink()
    else:
        (tmp_path / "samples.csv").write_text(samples)
    assert command.main(["autoscale", "simulate", *files]) == 1
    assert words in capsys.readouterr().err


def test_a_formula_that_cannot_be_read_gets_line_column_and_caret(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "formula").write_text("a = 1;\nb = ?")
    assert command.main(["autoscale", "simulate", *files]) == 1
    assert capsys.readouterr().err == (
        "error: AutoScalingFormulaSyntaxError: Line 2, Col 5: a value is expected, not '?'\nb = ?\n    ^\n"
    )


def test_times_may_be_dates_in_any_order(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "samples.csv").write_text("time,PendingTasks\n2016-10-13T19:01:00Z,3\n2016-10-13T19:00:00Z,1\n\n")
    assert command.main(["autoscale", "simulate", *files]) == 0
    assert capsys.readouterr().out.startswith("2016-10-13T19:00:00Z  $TargetDedicatedNodes=1;")


def test_charts_of_odd_data() -> None:
    assert "nothing" in as_text(Line("nothing", []))
    assert "1 ┤" in as_text(Line("flat", [(5.0, 0.0)]))
    text = as_text(Line("steps", [(0.0, 0.0), (50.0, 4.0), (100.0, 2.0)]), width=10, height=2)
    assert [line[10:] for line in text.splitlines()[1:3]] == ["     ████", "     █████"]
    ET.fromstring(as_svg([Line("<&>", []), Line("one", [(1.0, 1.0)])], "a < b"))  # noqa: S314 (our own)
