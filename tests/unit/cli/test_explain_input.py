"""A log's bytes on their way in, and the line that says how far reading has come."""

import io

import pytest

from oomkeeper.cli.explain_input import BinaryFileError, Progress, TextInput


class Dripping(io.RawIOBase):
    """A pipe whose writer gives a few bytes at a time."""

    def __init__(self, data: bytes, *, step: int) -> None:
        super().__init__()
        self._data, self._step = io.BytesIO(data), step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        part = self._data.read(min(self._step, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


def read_all(data: bytes, *, step: int = 4096) -> bytes:
    stream = TextInput("log", Dripping(data, step=step), progress=lambda _: None)
    return b"".join(iter(stream.read, b""))


TEXT = "[    1.000000] usb 1-1: Gerät ☃ 𝄞\n" * 300


@pytest.mark.parametrize("step", [1, 3, 4096])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_text_is_read_as_utf8_in_blocks_of_any_size(encoding: str, step: int) -> None:
    data = TEXT.encode(encoding)
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data

    assert read_all(data, step=step) == TEXT.encode("utf-8")


@pytest.mark.parametrize("room", [7, 1000, 1 << 18])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_buffer_is_not_overrun_by_an_expanding_encoding(encoding: str, room: int) -> None:
    text = "内存不足 " * (600 if room < 1000 else 100_000)
    stream = TextInput("log", io.BytesIO(text.encode(encoding)), progress=lambda _: None)  # type: ignore[arg-type]
    buffer = bytearray(room)
    out = b""
    while size := stream.readinto(memoryview(buffer)):
        out += buffer[:size]

    assert out == text.encode()


@pytest.mark.parametrize("encoding", ["latin-1", "gbk", "shift_jis"])
def test_text_in_a_legacy_encoding_is_accepted(encoding: str) -> None:
    data = ("内存不足 メモリ" if encoding != "latin-1" else "Speicher für").encode(encoding) * 500

    assert read_all(data) == data


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)),
        bytes(100_000),
        b"\x7fELF\x02\x01\x01" + bytes(57),
        b"PK\x03\x04\x14\x00\x08\x08\x08\x00",
    ],
)
def test_binary_input_is_rejected_before_it_is_read(data: bytes) -> None:
    with pytest.raises(BinaryFileError, match=r"^log: is a binary file"):
        read_all(data)


def test_empty_input_is_accepted() -> None:
    assert read_all(b"") == b""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_for_large_input_only() -> None:
    terminal = _Terminal()
    progress = Progress(terminal, 1 << 30)

    progress(1 << 20)
    assert terminal.getvalue() == ""

    progress.kills = 3
    progress(1 << 28)
    assert "25 % of 1024 MiB, 3 OOM events so far" in terminal.getvalue()

    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_is_silent_without_a_terminal() -> None:
    file = io.StringIO()

    Progress(file, None)(1 << 40)

    assert file.getvalue() == ""
