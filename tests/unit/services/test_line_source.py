import gzip
import io
from pathlib import Path

import pytest

from services.cli.line_source import LineSource, UnreadableFile

TEXT = b'{"a":1}\n\n  \n{"b":"\xff"}\r\nlast without a line feed'
LINES = [b'{"a":1}', b"", b"  ", b'{"b":"\xff"}\r', b"last without a line feed"]


def read(name: str) -> list[bytes]:
    with LineSource(name) as source:
        return [line for lines in source.chunks() for line in lines]


def test_lines_are_given_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(TEXT)
    (tmp_path / "packed").write_bytes(gzip.compress(TEXT))
    assert read(str(tmp_path / "plain")) == LINES
    assert read(str(tmp_path / "packed")) == LINES


def test_lines_longer_than_a_chunk_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cli.line_source.CHUNK_BYTES", 3)
    (tmp_path / "plain").write_bytes(TEXT)
    assert read(str(tmp_path / "plain")) == LINES


def test_an_empty_file_and_one_that_ends_with_a_line_feed_have_no_last_line(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "ended").write_bytes(b"x\n")
    assert read(str(tmp_path / "empty")) == []
    assert read(str(tmp_path / "ended")) == [b"x"]


def test_standard_input_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(TEXT))))
    assert read("-") == LINES


def test_the_position_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(gzip.compress(TEXT))
    with LineSource(str(tmp_path / "packed")) as source:
        assert list(source.chunks())
        assert source.position() == source.size


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(gzip.compress(TEXT)[:-10])
    for name, words in (("absent", "No such file"), ("cut", "ended before"), (".", "directory")):
        with pytest.raises(UnreadableFile, match=words):
            read(str(tmp_path / name))
