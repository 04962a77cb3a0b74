"""Hundreds of bad files: each is reported exactly, or its bad row is set aside. Good rows are kept as written."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.rows.readers import read_seeds
from pipelines.rows.readers.formats import file_format as source
from tests.pipelines.rows.readers.corpus import FORMATS, GOOD, Case
from tests.pipelines.rows.readers.corpus_files import corpus
from tests.support.command_line import evolgrid

ROOT = Path(__file__).parents[4]
CASES = corpus()


@pytest.fixture(params=CASES, ids=lambda case: f"{case.suffix}-{case.name}")
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def path(case: Case, tmp_path: Path) -> Path:
    made = tmp_path / f"seeds.{case.suffix}"
    made.write_bytes(case.data)
    return made


def complaint(path: Path, policy: str) -> str:
    with pytest.raises(InputError) as caught:
        read_seeds(path, on_bad_row=policy)  # type: ignore[arg-type]
    return str(caught.value).removeprefix(str(path))


def test_a_bad_file_is_refused_with_place_field_and_remedy(case: Case, path: Path) -> None:
    assert complaint(path, "refuse") == case.told


def test_of_a_bad_file_only_the_bad_row_is_set_aside(case: Case, path: Path) -> None:
    if not case.of_row:
        assert complaint(path, "quarantine") == case.told
        return
    read = read_seeds(path, on_bad_row="quarantine")
    assert [(bad.index, bad.reason, bad.field) for bad in read.bad] == [(1, case.reason, case.field)]
    assert [row.index for row in read.rows] == [0, 2]
    if "string" not in case.name and "null" not in case.name:  # these files have rows of their own
        assert [(row.instruction, row.input, row.output) for row in read.rows] == [tuple(row.values()) for row in GOOD]


@pytest.mark.parametrize("suffix", [*FORMATS, "jsonl.gz", "csv.gz", "json.gz"])
@pytest.mark.parametrize("policy", ["refuse", "quarantine"])
def test_what_is_no_file_is_refused_in_every_format(tmp_path: Path, suffix: str, policy: str) -> None:
    (tmp_path / f"folder.{suffix}").mkdir()
    (tmp_path / f"link.{suffix}").symlink_to("nowhere")
    assert complaint(tmp_path / f"none.{suffix}", policy) == ": no such file"
    assert complaint(tmp_path / f"link.{suffix}", policy) == ": no such file"
    assert complaint(tmp_path / f"folder.{suffix}", policy).startswith(": is a folder without files of seeds")
    assert ": cannot be read: [Errno 36] File name too long" in complaint(tmp_path / f"{'n' * 300}.{suffix}", policy)


def bomb(line: bytes) -> bytes:
    """A gzip file of 8 MB of the same line."""
    return gzip.compress(line * (8_000_000 // len(line)))


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("line", [b"\n", b" "], ids=["lines", "one line"])
def test_a_gzip_bomb_is_given_up_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, line: bytes
) -> None:
    monkeypatch.setattr(source, "MIN_SUSPICIOUS_BYTES", 1_000_000)
    path = tmp_path / f"seeds.{suffix}.gz"
    path.write_bytes(bomb(line))
    told = ": unpacks to more than 200 times its size. If that is intended, unpack it and use the unpacked file."
    assert complaint(path, "quarantine") == told


def test_a_parquet_bomb_is_refused_before_its_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "seeds.parquet"
    table = pa.table({"instruction": ["x" * 1_000_000] * 120})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    told = ": unpacks to more than 200 times its size. If that is intended, unpack it and use the unpacked file."
    assert complaint(path, "quarantine") == told


STUDY = """\
study: bad
seeds:
  - name: file
    file: seeds.jsonl
models:
  small: {source: small, engine: scripted}
evolution:
  evolvers: [small]
responses:
  teachers: [small]
"""


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_program_tells_it_without_a_traceback(tmp_path: Path, suffix: str) -> None:
    case = next(case for case in CASES if case.name == "NUL in output" and case.suffix == suffix)
    (tmp_path / "bad.yaml").write_text(STUDY.replace("seeds.jsonl", f"seeds.{suffix}"))
    (tmp_path / f"seeds.{suffix}").write_bytes(case.data)
    told = evolgrid("run", tmp_path / "bad.yaml", "--store", tmp_path)
    assert (told.returncode, told.stderr.strip()) == (2, f"{tmp_path}/seeds.{suffix}{case.told}")
    assert "Traceback" not in told.stdout


def test_every_format_is_spoilt_in_more_than_sixty_ways() -> None:
    counted = Counter(case.suffix.removesuffix(".gz") for case in CASES)
    assert min(counted[suffix] for suffix in FORMATS) >= 60, counted
