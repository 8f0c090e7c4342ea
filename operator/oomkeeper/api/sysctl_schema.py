"""The sysctls of a policy: a map of integers with a closed list of keys, each with its range.

The schema's own keywords cannot close a map's keys, and fixed properties would be pruned in silence when
misspelt; so each key is a CEL rule whose message says what to write.
"""

from typing import Annotated

from pydantic import Field

from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES, SYSCTLS, SysctlRule

from .rules import Checked, Rule

_KEYS = ", ".join(f"'{key}'" for key in SYSCTL_RULES)

SysctlName = Annotated[
    str,
    Checked(
        # For the API server the enum is enough.
        Rule(
            cel=None,
            message=f"is not one of them: write {', '.join(SYSCTL_RULES)}",
            holds=lambda self: self in SYSCTL_RULES,
        ),
        schema={"enum": list(SYSCTL_RULES)},
    ),
]
"""A key of the allow-list."""


def range_text(rule: SysctlRule) -> str:
    """`0, 1 or 2`, `0 to 200`."""
    values = range(rule.minimum, rule.maximum + 1)
    if len(values) == 2:
        return f"{values[0]} or {values[1]}"
    if len(values) == 3:
        return f"{values[0]}, {values[1]} or {values[2]}"
    return f"{rule.minimum} to {rule.maximum}"


def range_message(rule: SysctlRule) -> str:
    """What to write for a key, and what the value does."""
    return f"write {range_text(rule)}: {rule.what}"


def _range_rule(rule: SysctlRule) -> Rule:
    return Rule(
        cel=f"!('{rule.key}' in self) || dyn(self['{rule.key}']) == null || "
        f"(self['{rule.key}'] >= {rule.minimum} && self['{rule.key}'] <= {rule.maximum})",
        message=range_message(rule),
        holds=lambda self: rule.key not in self or rule.minimum <= self[rule.key] <= rule.maximum,
        field=(rule.key,),
    )


def item_rule(rule: SysctlRule) -> Rule:
    """The same range for an item `{name, value}` of a list."""
    return Rule(
        cel=f"self.name != '{rule.key}' || (self.value >= {rule.minimum} && self.value <= {rule.maximum})",
        message=f"{rule.key}: {range_message(rule)}",
        holds=lambda self: self.name != rule.key or rule.minimum <= self.value <= rule.maximum,
        field=("value",),
    )


def _described(rule: SysctlRule) -> str:
    kubelet = "" if rule.kubelet_value is None else f"; kubelet writes {rule.kubelet_value} at each start"
    return f"{rule.key} ({range_text(rule)}{kubelet})\n  {rule.what}"


SYSCTLS_DESCRIPTION = "Kernel settings to keep, by their kernel names:\n\n" + "\n\n".join(
    map(_described, SYSCTLS)
)

SysctlMap = Annotated[
    dict[str, Annotated[int, Field(json_schema_extra={"nullable": True})]],
    Field(max_length=len(SYSCTLS), description=SYSCTLS_DESCRIPTION),
    Checked(
        # If the values were not nullable, the API server would drop a null without an error.
        Rule(
            cel="self.all(key, dyn(self[key]) != null)",
            message="a sysctl has no value: write one or leave it out",
            holds=lambda self: None not in self.values(),
        ),
        Rule(
            cel=f"self.all(key, key in [{_KEYS}])",
            message=f"unknown sysctl: write only {', '.join(SYSCTL_RULES)}",
            holds=lambda self: all(key in SYSCTL_RULES for key in self),
        ),
        *(_range_rule(rule) for rule in SYSCTLS),
    ),
]
