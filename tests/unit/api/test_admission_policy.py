"""The chart's admission policy speaks of fields that the custom resources have."""

import re
from pathlib import Path

from oomkeeper.resources.oomincident import OOMIncidentSpec

POLICY = Path(__file__).parents[3] / "charts" / "oomkeeper" / "templates" / "agent-admission.yaml"


def test_every_field_of_an_incident_that_the_policy_names_exists() -> None:
    """Else has() of it is always false, and every incident refused."""
    named = set(re.findall(r"\b(?:o|object|oldObject)\.spec\.(\w+)", POLICY.read_text()))
    assert named == {"nodeName", "workload"}
    assert named <= set(OOMIncidentSpec.__struct_encode_fields__)
