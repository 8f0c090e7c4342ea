"""`load_policy`: a policy from a file, and one line for each file that is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oomkeeper.api import PolicyFileError, load_policy

HEAD = "apiVersion: oomkeeper.dev/v1alpha1\nkind: OOMPolicy\nmetadata: {name: p}\n"


def refusal(path: Path) -> str:
    """What load_policy says of the file, without the file's name; asserts that it is one line."""
    with pytest.raises(PolicyFileError) as caught:
        load_policy(path)
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def test_a_good_file_gives_the_policy(file: Path) -> None:
    file.write_text(HEAD + "spec:\n  # why\n  sysctls: {vm.panic_on_oom: 0}\n")
    policy = load_policy(file)
    assert policy.metadata.name == "p"
    assert policy.spec.sysctls == {"vm.panic_on_oom": 0}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + (HEAD + "spec: {mode: Audit}\n").replace("\n", "\r\n").encode())
    assert load_policy(file).spec.mode == "Audit"


def test_an_empty_document_beside_the_policy_does_no_harm(file: Path) -> None:
    file.write_text("---\n" + HEAD + "spec: {}\n---\n")
    assert load_policy(str(file)).metadata.name == "p"


def test_a_policy_read_back_from_the_api_server_is_good(file: Path) -> None:
    file.write_text(
        "apiVersion: oomkeeper.dev/v1alpha1\nkind: OOMPolicy\nmetadata:\n"
        "  creationTimestamp: 2026-11-23T09:00:00Z\n"
        "  generation: 2\n  name: p\n  resourceVersion: '7'\n  uid: u\n  annotations: {a: b}\n"
        "  managedFields: [{manager: kubectl, fieldsV1: {f:spec: {}}}]\nspec: {}\n"
        "status: {observedGeneration: 2}\n"
    )
    assert load_policy(file).metadata.generation == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty: write an OOMPolicy"),
        ("# nothing\n---\n", "is empty: write an OOMPolicy"),
        ("just words\n", "is no object: write apiVersion, kind, metadata and spec"),
        ("- a\n- b\n", "is no object: write apiVersion, kind, metadata and spec"),
        ("a: [1, 2\n", "line 2, column 1: not YAML: "),
        ("a: b: c\n", "line 1, column 5: not YAML: "),
        ("\tkey: 1\n", "line 1, column 1: not YAML: "),
        ("a: !!python/object/apply:os.system [true]\n", "line 1, column 4: not YAML: could not determine"),
        ("a: \x07\n", "not YAML: "),
        ("[" * 5000, "is nested too deeply"),
        (HEAD + "spec: {}\n---\n" + HEAD + "spec: {}\n", "holds 2 documents: write one OOMPolicy to a file"),
        ("kind: OOMPolicy\n", "apiVersion: is missing: write oomkeeper.dev/v1alpha1"),
        ("apiVersion: oomkeeper.dev/v1alpha1\n", "kind: is missing: write OOMPolicy"),
        (
            "apiVersion: oomkeeper.dev/v2\nkind: OOMPolicy\n",
            "apiVersion: 'oomkeeper.dev/v2' is not understood here: write oomkeeper.dev/v1alpha1",
        ),
        (
            "apiVersion: oomkeeper.dev/v1alpha1\nkind: OOMReport\n",
            "kind: 'OOMReport' is not understood here: write OOMPolicy",
        ),
        (HEAD, "spec: is missing: write it"),
        (HEAD + "spec: []\n", "spec: [] is of the wrong type: write a map (key: value)"),
        (HEAD + "spec: {}\nsysctls: {}\n", "sysctls: unknown field: write one of apiVersion, metadata, kind"),
        (HEAD.replace("name: p", "nam: p") + "spec: {}\n", "metadata.nam: unknown field: write one of name"),
        (HEAD.replace("{name: p}", "{}") + "spec: {}\n", "metadata.name: is missing: write a name"),
        (HEAD.replace("p}", "P_}") + "spec: {}\n", "metadata.name: write at most 253 lower-case letters"),
        (HEAD + "spec: {}\nspec: {}\n", "line 5, column 1: not YAML: key 'spec' occurs twice: write it once"),
        (
            HEAD + "spec:\n  sysctls:\n    vm.swappiness: 1\n    vm.swappiness: 2\n",
            "line 7, column 5: not YAML: key 'vm.swappiness' occurs twice: write it once",
        ),
        (
            HEAD + "spec: &a {x: *a}\n",
            "line 4, column 14: not YAML: alias *a is not accepted: write the value out",
        ),
        (HEAD + "spec: {? [a] : b}\n", "not YAML: a key must be a plain word"),
        (
            HEAD + "spec: {sysctls: {vm.panic_on_oom: 3}}\n",
            "spec.sysctls.vm.panic_on_oom: write 0, 1 or 2: 0 kills a process, 1 panics",
        ),
        (
            HEAD + "spec: {sysctls: {vm.swappiness: 010}}\n",
            "spec.sysctls.vm.swappiness: '010' is of the wrong type: write an integer",
        ),
        (HEAD + "spec: {sysctls: {vm.swappiness: 1:30}}\n", "'1:30' is of the wrong type: write an integer"),
        (HEAD + "spec: {sysctls: {vm.swappiness: 1.5}}\n", "'1.5' is of the wrong type: write an integer"),
        (HEAD + "spec: {sysctls: {vm.swappiness: .inf}}\n", "'.inf' is of the wrong type: write an integer"),
        (HEAD + f"spec: {{sysctls: {{vm.swappiness: {'9' * 400}}}}}\n", "spec.sysctls.vm.swappiness: "),
        (
            HEAD + "spec: {sysctls: {vm.swappiness: }}\n",
            "spec.sysctls.vm.swappiness: is empty: write an integer",
        ),
        (HEAD + "spec: {sysctls: {1: 1}}\n", "spec.sysctls: unknown sysctl: write only"),
        (HEAD + "spec: {mode: yes}\n", "spec.mode: true is not one of them: write Enforce or Audit"),
        (HEAD + "spec: {on: {}}\n", "spec.on: unknown field: write one of priority"),
        (HEAD + 'spec: {"a\\nb": {}}\n', "spec.a b: unknown field"),
        (HEAD + 'spec: {mode: "\\ud800"}\n', ""),
        (HEAD + "spec: {priority: 1, mode: x, suspend: 3}\n", "(and 1 more)"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    assert says in refusal(file)


def test_a_missing_file_is_named(file: Path) -> None:
    assert refusal(file) == "cannot be read: No such file or directory"


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is not a regular file: name a YAML file with one OOMPolicy"


def test_a_fifo_is_refused_and_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    assert "is not a regular file" in refusal(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(file: Path) -> None:
    file.write_text(HEAD)
    file.chmod(0)
    assert refusal(file) == "cannot be read: Permission denied"


def test_a_read_error_is_named(tmp_path: Path) -> None:
    """As root no permission stops a read, but a loop of links does."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert refusal(loop).startswith("cannot be read: ")


def test_a_binary_file_is_refused(file: Path) -> None:
    file.write_bytes(bytes(range(256)))
    assert refusal(file).startswith("is not UTF-8 text (byte 128)")


def test_text_with_a_zero_byte_is_binary(file: Path) -> None:
    file.write_bytes(HEAD.encode() + b"\0")
    assert refusal(file) == "is binary: name a YAML file with one OOMPolicy"


def test_a_huge_file_is_refused_without_reading_it_whole(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    assert "is larger than 1048576 bytes" in refusal(file)


def test_a_path_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="cannot be read"):
        load_policy("a\0b")


def test_nested_aliases_are_refused_before_they_expand(file: Path) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    file.write_text("a0: &a0 x\n" + levels)
    assert "alias *a0 is not accepted" in refusal(file)
