"""Every run has a number that is larger than those of all before, also if many begin at once."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

from pipelines.store.epochs import next_epoch
from pipelines.store.store import Store


def test_numbers_grow_and_one_is_kept(tmp_path: Path) -> None:
    assert [next_epoch(Store(str(tmp_path))) for _ in range(3)] == [1, 2, 3]
    assert [path.name for path in (tmp_path / "epochs").iterdir()] == ["000003"]


def test_of_many_at_once_each_gets_another(tmp_path: Path) -> None:
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(next_epoch(Store(str(tmp_path))))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 8


def test_workers_know_the_number_of_their_run(tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(Store(str(tmp_path), epoch=7))).epoch == 7
