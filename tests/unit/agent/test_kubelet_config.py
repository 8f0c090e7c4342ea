"""KubeletConfiguration files in the forms that people write, and what is said of those that are not
understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.agent.kubelet.config import MergedConfig, read_config

BLOCK = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
protectKernelDefaults: true  # as the benchmark wants
singleProcessOOMKill: "false"
evictionHard:
  memory.available: "500Mi"
  nodefs.available: 10%
tracing:
  protectKernelDefaults: false
"""
FLOW = 'evictionHard: {memory.available: "500Mi", nodefs.available: 10%}\nprotectKernelDefaults: true\n'
JSON = (
    '{"evictionHard": {"memory.available": "500Mi", "nodefs.available": "10%"}, '
    '"protectKernelDefaults": true}'
)
INDENTED = "---\n" + "".join(f"  {line}\n" for line in BLOCK.splitlines())
QUOTED = '# protectKernelDefaults: false\n"protectKernelDefaults": yes\n' + FLOW.splitlines()[0]


@pytest.mark.parametrize(
    "text", [BLOCK, FLOW, JSON, INDENTED, QUOTED], ids=["block", "flow", "json", "indented", "quoted"]
)
def test_same_settings_are_read_from_each_form(text: str) -> None:
    merged = MergedConfig()
    merged.add("file", read_config(text))
    assert merged.problem is None
    assert merged.boolean("protectKernelDefaults") is True
    assert merged.eviction_hard == {"memory.available": "500Mi", "nodefs.available": "10%"}


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "evictionHard:\n", "kind: KubeletConfiguration\n"]
)
def test_file_without_the_settings_is_understood(text: str) -> None:
    found = read_config(text)
    assert (found.problem, found.eviction_hard) == (None, None)
    assert "protectKernelDefaults" not in found.scalars


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "begins as JSON"),
        ("{]", "begins as JSON"),
        ("{protectKernelDefaults: true}", "begins as JSON"),
        ('{"protectKernelDefaults": "true"}', "neither true nor false"),
        ("\x00\xff", "not a mapping in block form"),
        ("- a\n- b\n", "not a mapping in block form"),
        ("kind: A\n---\nprotectKernelDefaults: true\n", "more than one document"),
        ("protectKernelDefaults: !!bool true\n", "a form that is not read"),
        ("protectKernelDefaults: &x true\n", "a form that is not read"),
        ("? protectKernelDefaults\n: true\n", "not a mapping in block form"),
        ("kind: A\n? protectKernelDefaults\n: true\n", "a form that is not read"),
        ("protectKernelDefaults: maybe\n", "neither true nor false"),
        ("tracing:\n  protectKernelDefaults: false\n", "a form that is not read"),
        ("    kind: A\n  protectKernelDefaults: true\n", "indented in a way"),
    ],
)
def test_file_that_is_not_understood_is_a_problem_and_not_a_false(text: str, problem: str) -> None:
    assert problem in (read_config(text).problem or "")


def test_later_files_win_key_by_key_and_null_removes() -> None:
    merged = MergedConfig()
    merged.add("base", read_config(BLOCK))
    merged.add(
        "1.conf", read_config('{"protectKernelDefaults": false, "evictionHard": {"nodefs.available": "5%"}}')
    )
    assert merged.boolean("protectKernelDefaults") is False
    assert merged.eviction_hard == {"memory.available": "500Mi", "nodefs.available": "5%"}
    merged.add("2.conf", read_config("protectKernelDefaults: true\n"))
    merged.add("3.conf", read_config("protectKernelDefaults: null\nevictionHard: null\n"))
    assert merged.boolean("protectKernelDefaults") is None
    assert merged.eviction_hard == {}
    assert merged.problem is None


@given(st.text(alphabet=st.sampled_from("protectKernelDefaults:tru \n\t{}[]\"'#-&!|>~,\0"), max_size=80))
def test_no_text_makes_it_raise(text: str) -> None:
    for one in (text, f"protectKernelDefaults: {text}", "{" + text, f"evictionHard:\n {text}"):
        read_config(one)
