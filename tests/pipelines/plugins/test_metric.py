"""A metric of a plug-in: selected by, in keys, in errors and schemas; and nothing is left of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli.common.exit_codes import message_and_code
from pipelines.errors import InputError
from pipelines.execution.steps.selection import run_selection
from pipelines.operators.select.measurements import ReportedMetric, reported_values
from pipelines.operators.select.metrics import COMPUTED
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.json_schema import schema
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.step import Step
from pipelines.study.plugins.active import active_plugins
from pipelines.study.spec.pairs.selection import METRICS
from tests.pipelines.plugins.conftest import METRIC, STUDY
from tests.support.command_line import evolgrid
from tests.support.offline import run_offline

WritePlugged = Callable[..., Path]
WITHOUT = STUDY.replace("plugins: [./mine.py]\n", "").replace("by: shouting", "by: words")


def steps(path: Path) -> dict[str, Step]:
    loaded = load(path)
    check(loaded)
    return {step.label: step for step in build(loaded.study, loaded.folder).steps.values()}


def test_a_study_selects_by_it(plugged: WritePlugged) -> None:
    loaded = load(plugged())
    check(loaded)
    assert loaded.study.selection[0].by == "shouting"
    assert schema()["$defs"]["Selection"]["properties"]["by"]["enum"][-1] == "shouting"


def test_it_is_reported(plugged: WritePlugged, tmp_path: Path) -> None:
    loaded, store = load(plugged()), Store(str(tmp_path / "store"))
    grid = run_offline(loaded.study, store)
    (values,) = (
        reported_values(store, pairs, store.finished_keys(), 0)[ReportedMetric("shouting")] for pairs in grid.sets[:1]
    )
    assert len(values) == 8 and all(0 <= value <= 1 for value in values)


def test_another_study_does_not_know_it(plugged: WritePlugged, tmp_path: Path) -> None:
    path, before = plugged(), (dict(METRICS), dict(COMPUTED))
    load(path)
    (tmp_path / "other.yaml").write_text(WITHOUT)
    load(tmp_path / "other.yaml")
    assert before == (METRICS, COMPUTED) and not active_plugins()
    assert "shouting" not in schema()["$defs"]["Selection"]["properties"]["by"]["enum"]
    (tmp_path / "other.yaml").write_text(WITHOUT.replace("by: words", "by: shouting"))
    with pytest.raises(InputError, match=r"must be one of .*random; here is the text 'shouting'"):
        load(tmp_path / "other.yaml")
    assert load(path).study.selection[0].by == "shouting"


def test_a_misspelt_name_is_corrected(plugged: WritePlugged) -> None:
    with pytest.raises(InputError, match=r"selection\[0\].by: must be one of .*Did you mean 'shouting'"):
        load(plugged(replace={"by: shouting": "by: shoutin"}))


def test_its_code_is_in_the_keys_of_the_steps_that_use_it_and_of_no_others(plugged: WritePlugged) -> None:
    before, after = steps(plugged()), steps(plugged(METRIC + "# another version\n"))
    changed = {label for label, step in before.items() if after[label].key != step.key}
    assert changed == {label for label in before if "calm" in label} and len(changed) == 6
    assert not any("plugins" in step.payload for label, step in before.items() if "calm" not in label)


def test_a_plan_explains_that_its_code_has_changed(plugged: WritePlugged, tmp_path: Path) -> None:
    path, store = plugged(), tmp_path / "store"
    grid = run_offline(load(path).study, Store(str(store)))
    chosen = [run_selection(Store(str(store)), step) for step in grid.steps.values() if step.kind == "select"]
    assert {manifest.account.rows_out for manifest in chosen if "calm" in manifest.label} == {4}
    plugged(METRIC.replace("isupper()", 'isupper() or letter == "!"'))
    told = evolgrid("plan", path, "--store", store, "--explain")
    assert "the code of the plug-in 'mine' has changed" in " ".join(told.stdout.split()), told.stdout


def test_a_mistake_in_its_function_is_told_with_its_line(plugged: WritePlugged, tmp_path: Path) -> None:
    path, store = plugged(METRIC.replace("max(len(text), 1)", "0")), tmp_path / "store"
    grid = run_offline(load(path).study, Store(str(store)))
    with pytest.raises(ZeroDivisionError) as raised:
        run_selection(Store(str(store)), next(step for step in grid.steps.values() if "calm" in step.label))
    message, code = message_and_code(raised.value)
    assert message.startswith(f"{tmp_path / 'mine.py'}:6: ZeroDivisionError: division by zero") and code == 1


def test_editors_get_the_schema_of_a_study_with_its_names(plugged: WritePlugged, tmp_path: Path) -> None:
    path = plugged(replace={"evolution:": "wrong_key:"})  # a file that is being written
    assert '"shouting"' in evolgrid("schema", path).stdout
    assert '"shouting"' not in evolgrid("schema").stdout
