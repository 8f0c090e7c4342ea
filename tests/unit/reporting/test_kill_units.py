"""Sizes and shares as people read them."""

import pytest

from oomkeeper.model.units import bytes_text, count_text, share_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1500, "1.5 KiB"),
        (980 * 1024, "980 KiB"),
        (6144000, "5.9 MiB"),
        (536870912, "512 MiB"),
        (100 << 20, "100 MiB"),
        ((1 << 30) - 1, "1024 MiB"),
        (1 << 30, "1024 MiB"),
        ((10 << 30) - 1, "10240 MiB"),
        (10 << 30, "10 GiB"),
        (31211520 << 10, "29.8 GiB"),
        (5 << 40, "5120 GiB"),
        (10 << 40, "10 TiB"),
        (3 << 60, "3145728 TiB"),
        (-2048, "-2 KiB"),
        (None, "unknown"),
    ],
)
def test_bytes_have_a_binary_unit_and_enough_digits(size: int | None, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.001, "<1 %"),
        (0.954, "95 %"),
        (0.996, ">99 %"),
        (0.9999, ">99 %"),
        (1.0, "100 %"),
        (1.2, "120 %"),
    ],
)
def test_share_never_rounds_to_0_or_100(share: float, text: str) -> None:
    assert share_text(share) == text


def test_count_agrees_with_its_noun() -> None:
    assert [count_text(count, "kill") for count in (0, 1, 12000)] == ["0 kills", "1 kill", "12,000 kills"]
