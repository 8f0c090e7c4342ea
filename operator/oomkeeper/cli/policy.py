"""Convert an OOMPolicy into the desired state of one host, without a controller."""

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.oomscoreadj.entry import parse_entry
from oomkeeper.api.oompolicy import OOMPolicy
from oomkeeper.resources.oomnode import DesiredSysctl


def desired_of_policy(policy: OOMPolicy) -> Desired:
    """Return the policy's sysctls and adjustments for the host that it is applied to; none of a suspended
    policy."""
    spec = policy.spec
    if spec.suspend:
        return Desired()
    name = policy.metadata.name or "policy"
    return Desired(
        sysctls=tuple(
            DesiredSysctl(
                name=str(key),
                value=value,
                policy=str(name),
                mode=str(spec.mode),
                persistence=str(spec.persistence),
                on_release=str(spec.on_release),
                acknowledge=tuple(map(str, spec.panic_safety.acknowledge)),
            )
            for key, value in spec.sysctls.items()
        ),
        adjustments=tuple(
            parse_entry(
                {
                    **rule.model_dump(mode="json", by_alias=True, exclude_none=True),
                    "policy": str(name),
                    "mode": str(spec.mode),
                    "onRelease": str(spec.on_release),
                }
            )
            for rule in spec.oom_score_adjustments
        ),
    )
