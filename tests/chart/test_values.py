"""Values of the chart: each has its effect, and is documented."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from oomkeeper.cli.controller import command
from tests.cluster.chart_harness import ROOT, Helm, HelmError, object_named, of_kind, rules_of

from .values_page import PAGE, README, chart_readme, values_page

Json = dict[str, Any]
AGENT, CONTROLLER = "DaemonSet", "Deployment"


def workload(renderer: Helm, kind: str, *options: str) -> Json:
    [found] = of_kind(renderer.rendered(*options), kind)
    assert isinstance(found, dict)
    return found


def pod(renderer: Helm, kind: str, *options: str) -> Json:
    template: Json = workload(renderer, kind, *options)["spec"]["template"]
    return template


def setting(path: str, value: object) -> tuple[str, str]:
    return "--set-json", f"{path}={json.dumps(value)}"


def test_agent_avoids_nodes_without_a_kernel_of_their_own(renderer: Helm) -> None:
    spec = pod(renderer, AGENT)["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert {(one["key"], one["operator"], *one["values"]) for one in term["matchExpressions"]} == {
        ("eks.amazonaws.com/compute-type", "NotIn", "fargate"),
        ("type", "NotIn", "virtual-kubelet"),
    }


@pytest.mark.parametrize(("kind", "part"), [(AGENT, "agent"), (CONTROLLER, "controller")])
def test_pod_settings_reach_the_pod(renderer: Helm, kind: str, part: str) -> None:
    affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    found = pod(
        renderer,
        kind,
        *setting(f"{part}.podAnnotations", {"example.org/a": "1"}),
        *setting(f"{part}.podLabels", {"example.org/b": "2"}),
        *setting(f"{part}.affinity", affinity),
        *setting(f"{part}.priorityClassName", ""),
        *setting(f"{part}.podSecurityContext", {"fsGroup": 7}),
        *setting(f"{part}.extraArgs", ["--log-format=json"]),
        *setting(f"{part}.extraEnv", [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]),
        *setting(f"{part}.extraVolumes", [{"name": "ca", "configMap": {"name": "ca"}}]),
        *setting(f"{part}.extraVolumeMounts", [{"name": "ca", "mountPath": "/ca"}]),
    )
    spec = found["spec"]
    [container] = spec["containers"]
    assert found["metadata"]["annotations"] == {"example.org/a": "1"}
    assert found["metadata"]["labels"]["example.org/b"] == "2"
    assert spec["affinity"].items() >= affinity.items()
    assert "priorityClassName" not in spec
    assert spec["securityContext"]["fsGroup"] == 7
    assert container["args"][-1] == "--log-format=json"
    assert container["env"][-1] == {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    assert spec["volumes"][-1] == {"name": "ca", "configMap": {"name": "ca"}}
    assert container["volumeMounts"][-1] == {"name": "ca", "mountPath": "/ca"}


def test_controller_is_spread_as_configured(renderer: Helm) -> None:
    spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
    spec = pod(renderer, CONTROLLER, *setting("controller.topologySpreadConstraints", spread))["spec"]
    assert spec["topologySpreadConstraints"] == spread


def test_agent_rollout_is_configurable(renderer: Helm) -> None:
    spec = workload(
        renderer, AGENT, *setting("agent.updateStrategy", {"type": "OnDelete", "rollingUpdate": None}),
        *setting("agent.minReadySeconds", 60),
    )["spec"]  # fmt: skip
    assert (spec["updateStrategy"], spec["minReadySeconds"]) == ({"type": "OnDelete"}, 60)


@pytest.mark.parametrize(("preset", "limit"), [("small", "192Mi"), ("medium", "256Mi"), ("large", "512Mi")])
def test_preset_sizes_the_controller(renderer: Helm, preset: str, limit: str) -> None:
    [container] = pod(renderer, CONTROLLER, "--set", f"controller.resourcesPreset={preset}")["spec"][
        "containers"
    ]
    assert container["resources"]["limits"] == {"memory": limit}


def test_resources_replace_the_preset(renderer: Helm) -> None:
    wanted = {"limits": {"memory": "3Gi"}}
    [container] = pod(renderer, CONTROLLER, *setting("controller.resources", wanted))["spec"]["containers"]
    assert container["resources"] == wanted


def test_global_registry_prefixes_every_image(renderer: Helm) -> None:
    objects = renderer.rendered("--set", "global.imageRegistry=registry.example.com/mirror/")
    images = re.findall(r'"image": "([^"]+)"', json.dumps(objects))
    assert len(images) == 4  # agent, controller, uninstall hook, test
    assert {image.rpartition(":")[0] for image in images} == {"registry.example.com/mirror/oomkeeper"}


def test_pull_secrets_of_global_and_chart_are_joined(renderer: Helm) -> None:
    options = (
        *setting("global.imagePullSecrets", [{"name": "a"}]),
        *setting("imagePullSecrets", [{"name": "b"}]),
    )
    for kind in (AGENT, CONTROLLER):
        assert pod(renderer, kind, *options)["spec"]["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    ("option", "prefix", "label"),
    [("nameOverride=oom", "oomkeeper-oom", "oom"), ("fullnameOverride=memory", "memory", "oomkeeper")],
)
def test_overridden_names_stay_consistent(renderer: Helm, option: str, prefix: str, label: str) -> None:
    objects = renderer.rendered("--set", option)
    agent = object_named(objects, "DaemonSet", f"{prefix}-agent")
    template = agent["spec"]["template"]
    assert agent["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == label
    assert object_named(objects, "ServiceAccount", template["spec"]["serviceAccountName"])
    [subject] = object_named(objects, "ClusterRoleBinding", "oomkeeper-agent")["subjects"]
    assert subject["name"] == f"{prefix}-agent"
    policy = object_named(objects, "ValidatingAdmissionPolicy", "oomkeeper-agent-own-node")
    [condition] = policy["spec"]["matchConditions"]
    assert f":{prefix}-agent'" in condition["expression"]


def test_common_labels_are_on_every_object(renderer: Helm) -> None:
    objects = renderer.rendered("--set", "commonLabels.team=storage", "--set", "networkPolicy.enabled=true")
    assert [
        one["metadata"]["name"] for one in objects if one["metadata"]["labels"].get("team") != "storage"
    ] == []


def test_kmsg_is_mounted_on_request(renderer: Helm) -> None:
    spec = pod(renderer, AGENT, "--set", "agent.mountKmsg=true")["spec"]
    assert {"name": "kmsg", "hostPath": {"path": "/dev/kmsg", "type": "CharDevice"}} in spec["volumes"]
    [container] = spec["containers"]
    assert {"name": "kmsg", "mountPath": "/dev/kmsg", "readOnly": True} in container["volumeMounts"]


def test_controller_may_patch_nodes_only_where_it_cordons_them(renderer: Helm) -> None:
    for options, granted in (((), False), (setting("controller.cordonNodes", True), True)):
        role = object_named(renderer.rendered(*options), "ClusterRole", "oomkeeper-controller")
        assert (("", "nodes", "patch") in set(rules_of(role))) is granted
        [container] = pod(renderer, CONTROLLER, *options)["spec"]["containers"]
        assert ("--cordon-nodes" in container["args"]) is granted


def test_quota_permits_the_priority_classes_of_the_pods(renderer: Helm) -> None:
    [quota] = of_kind(renderer.rendered(), "ResourceQuota")
    [scope] = quota["spec"]["scopeSelector"]["matchExpressions"]
    classes = {pod(renderer, kind)["spec"]["priorityClassName"] for kind in (AGENT, CONTROLLER)}
    assert (scope["scopeName"], scope["operator"], set(scope["values"])) == ("PriorityClass", "In", classes)


def test_quota_is_omitted_without_system_priority_classes(renderer: Helm) -> None:
    options = ("--set", "agent.priorityClassName=mine", "--set", "controller.priorityClassName=")
    assert of_kind(renderer.rendered(*options), "ResourceQuota") == []


def test_openshift_is_detected_by_its_api(renderer: Helm) -> None:
    detected = renderer.rendered("--api-versions=security.openshift.io/v1")
    assert [one["metadata"]["name"] for one in of_kind(detected, "SecurityContextConstraints")] == [
        "oomkeeper-agent"
    ]
    assert of_kind(renderer.rendered(), "SecurityContextConstraints") == []
    off = renderer.rendered("--api-versions=security.openshift.io/v1", "--set", "openshift.enabled=false")
    assert of_kind(off, "SecurityContextConstraints") == []


def test_security_context_constraints_allow_what_the_agent_needs(renderer: Helm) -> None:
    objects = renderer.rendered("--set", "openshift.enabled=true")
    [scc] = of_kind(objects, "SecurityContextConstraints")
    [agent] = of_kind(objects, AGENT)
    spec = agent["spec"]["template"]["spec"]
    kinds = {next(key for key in volume if key != "name") for volume in spec["volumes"]}
    assert kinds <= set(scc["volumes"])
    assert spec["hostPID"]
    assert scc["allowHostPID"]
    assert spec["containers"][0]["securityContext"]["privileged"]
    assert scc["allowPrivilegedContainer"]
    role = object_named(objects, "Role", "oomkeeper-agent-scc")
    assert role["rules"][0]["resourceNames"] == [scc["metadata"]["name"]]
    [subject] = object_named(objects, "RoleBinding", "oomkeeper-agent-scc")["subjects"]
    assert subject["name"] == spec["serviceAccountName"]


def test_openshift_chooses_the_user_of_unprivileged_pods(renderer: Helm) -> None:
    """restricted-v2 refuses a uid outside of the namespace's range."""
    objects = renderer.rendered("--set", "openshift.enabled=true")
    [controller] = of_kind(objects, CONTROLLER)
    [job] = of_kind(objects, "Job")
    [test] = of_kind(objects, "Pod")
    for spec in (controller["spec"]["template"]["spec"], job["spec"]["template"]["spec"], test["spec"]):
        assert "runAsUser" not in spec["securityContext"]
        assert spec["securityContext"]["runAsNonRoot"] is True


def test_network_policy_allows_the_api_server_and_dns_only(renderer: Helm) -> None:
    assert of_kind(renderer.rendered(), "NetworkPolicy") == []
    [policy] = of_kind(renderer.rendered("--set", "networkPolicy.enabled=true"), "NetworkPolicy")
    ports = [(one["protocol"], one["port"]) for rule in policy["spec"]["egress"] for one in rule["ports"]]
    assert ports == [("TCP", 443), ("TCP", 6443), ("UDP", 53), ("TCP", 53)]
    [metrics] = policy["spec"]["ingress"]
    assert metrics == {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 8082}]}
    options = ("--set", "networkPolicy.enabled=true", "--set", "metrics.enabled=false")
    [closed] = of_kind(renderer.rendered(*options), "NetworkPolicy")
    assert closed["spec"]["ingress"] == []
    labels = pod(renderer, CONTROLLER)["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


WEBHOOK = {
    "url": "https://events.example.com:8443/oom",
    "source": "urn:cluster:prod",
    "maxAge": "1h",
    "tokenSecret": {"name": "hook", "key": "bearer"},
    "caConfigMap": {"name": "internal-ca"},
}


def test_webhook_reaches_the_controller_with_its_files(renderer: Helm) -> None:
    [plain] = pod(renderer, CONTROLLER)["spec"]["containers"]
    assert [one for one in plain["args"] if "webhook" in one] == []
    spec = pod(renderer, CONTROLLER, *setting("notifications.webhook", WEBHOOK))["spec"]
    [container] = spec["containers"]
    _, *options = container["args"]
    parameters = command.make_context("controller", options).params
    assert parameters["webhook_url"] == WEBHOOK["url"]
    assert parameters["webhook_source"] == "urn:cluster:prod"
    assert parameters["webhook_max_age"] == "1h"
    [mount] = [one for one in container["volumeMounts"] if one["name"] == "webhook"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "webhook"]
    files = {
        f"{mount['mountPath']}/{item['path']}": (source[kind]["name"], item["key"])
        for source in volume["projected"]["sources"]
        for kind in source
        for item in source[kind]["items"]
    }
    assert files == {
        str(parameters["webhook_token_file"]): ("hook", "bearer"),
        str(parameters["webhook_ca_file"]): ("internal-ca", "ca.crt"),
    }


@pytest.mark.parametrize("url", ["ftp://x", "https://user:secret@x/", "https://x/ y", "events.example.com"])
def test_unusable_webhook_url_is_refused(renderer: Helm, url: str) -> None:
    with pytest.raises(HelmError, match="notifications"):
        renderer.rendered(*setting("notifications.webhook.url", url))


def test_controller_may_patch_incidents_only_with_a_webhook(renderer: Helm) -> None:
    def verbs(*options: str) -> set[str]:
        role = object_named(renderer.rendered(*options), "ClusterRole", "oomkeeper-controller")
        return {
            verb for rule in role["rules"] if "oomincidents" in rule["resources"] for verb in rule["verbs"]
        }

    assert verbs() == {"list", "watch", "delete"}
    assert verbs(*setting("notifications.webhook", WEBHOOK)) == {"list", "watch", "delete", "patch"}


@pytest.mark.parametrize(
    ("url", "port"),
    [("https://x/oom", 443), ("http://x.svc", 80), ("https://x:8443/a", 8443), ("https://[fd00::1]:9/", 9)],
)
def test_network_policy_lets_the_controller_reach_the_webhook(renderer: Helm, url: str, port: int) -> None:
    options = ("--set", "networkPolicy.enabled=true", *setting("notifications.webhook.url", url))
    policy = object_named(renderer.rendered(*options), "NetworkPolicy", "oomkeeper-webhook")
    assert policy["spec"]["egress"] == [{"ports": [{"protocol": "TCP", "port": port}]}]
    selector = policy["spec"]["podSelector"]["matchLabels"].items()
    assert selector <= pod(renderer, CONTROLLER)["metadata"]["labels"].items()
    assert not selector <= pod(renderer, AGENT)["metadata"]["labels"].items()


def test_metrics_are_served_by_default_and_can_be_switched_off(renderer: Helm) -> None:
    for kind in (AGENT, CONTROLLER):
        [container] = pod(renderer, kind)["spec"]["containers"]
        assert "--metrics-port=8082" in container["args"]
        assert {"name": "metrics", "containerPort": 8082}.items() <= container["ports"][-1].items()
        [silent] = pod(renderer, kind, "--set", "metrics.enabled=false")["spec"]["containers"]
        assert [one for one in silent["args"] if "metrics" in one] == []
        assert [one["name"] for one in silent["ports"]] == ["health"]


def test_metrics_options_reach_the_agent(renderer: Helm) -> None:
    options = (*setting("metrics.address", "::"), *setting("metrics.workloadLabels", False))
    [container] = pod(renderer, AGENT, *options, *setting("metrics.maxSeries", 7))["spec"]["containers"]
    assert {"--metrics-address=::", "--no-metrics-workload-labels", "--metrics-max-series=7"} <= set(
        container["args"]
    )


@pytest.mark.parametrize(
    ("kind", "value"), [("PodMonitor", "podMonitor"), ("ServiceMonitor", "serviceMonitor")]
)
def test_monitors_select_the_pods_and_keep_the_series_of_a_node(
    renderer: Helm, kind: str, value: str
) -> None:
    assert of_kind(renderer.rendered(), kind) == []
    objects = renderer.rendered(
        *setting(
            f"metrics.{value}", {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}}
        )
    )
    assert len(of_kind(objects, kind)) == 2
    for component, workload_kind in (("agent", AGENT), ("controller", CONTROLLER)):
        monitor = object_named(objects, kind, f"oomkeeper-{component}")
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        labels = pod(renderer, workload_kind)["metadata"]["labels"]
        assert (
            monitor["spec"]["selector"]["matchLabels"].items()
            <= (labels | monitor["metadata"]["labels"]).items()
        )
        [endpoint] = monitor["spec"]["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
        assert (endpoint["port"], endpoint["interval"], endpoint["honorLabels"]) == ("metrics", "15s", True)
        assert {"targetLabel": "job", "replacement": f"oomkeeper-{component}"} in endpoint["relabelings"]
        by_node = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "instance"}
        assert (by_node in endpoint["relabelings"]) == (component == "agent")


def test_monitors_of_both_kinds_are_refused(renderer: Helm) -> None:
    with pytest.raises(HelmError, match="enable one of them"):
        renderer.rendered(
            "--set", "metrics.podMonitor.enabled=true", "--set", "metrics.serviceMonitor.enabled=true"
        )


def test_services_of_the_metrics_select_one_component_each(renderer: Helm) -> None:
    objects = renderer.rendered("--set", "metrics.service.create=true")
    services = of_kind(objects, "Service")
    assert len(services) == 2
    for service, kind in zip(services, (AGENT, CONTROLLER), strict=True):
        labels = pod(renderer, kind)["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert service["spec"]["publishNotReadyAddresses"]
        assert service["spec"]["ports"][0]["targetPort"] == "metrics"


def test_rules_have_links_to_the_runbooks(renderer: Helm) -> None:
    assert of_kind(renderer.rendered(), "PrometheusRule") == []
    value = {"enabled": True, "runbookURL": "https://docs.example.com/oom/", "labels": {"team": "sre"}}
    [rule] = of_kind(renderer.rendered(*setting("metrics.prometheusRule", value)), "PrometheusRule")
    assert rule["metadata"]["labels"]["team"] == "sre"
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    links = {one["annotations"]["runbook_url"] for one in alerts}
    assert links == {f"https://docs.example.com/oom/{one['alert']}.md" for one in alerts}
    assert "{{ $labels.workload }}" in json.dumps(alerts)


def test_rules_have_no_link_without_an_address(renderer: Helm) -> None:
    [rule] = of_kind(renderer.rendered("--set", "metrics.prometheusRule.enabled=true"), "PrometheusRule")
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    assert all({"summary", "description"} <= one["annotations"].keys() for one in alerts)
    assert not any("runbook_url" in one["annotations"] for one in alerts)


def test_dashboard_is_a_config_map_on_request(renderer: Helm) -> None:
    assert of_kind(renderer.rendered(), "ConfigMap") == []
    value = {"enabled": True, "namespace": "grafana", "annotations": {"grafana_folder": "Memory"}}
    [found] = of_kind(renderer.rendered(*setting("metrics.dashboard", value)), "ConfigMap")
    assert found["metadata"]["namespace"] == "grafana"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["oomkeeper.json"])["title"] == "oomkeeper"


def test_disruption_budget_covers_the_controller(renderer: Helm) -> None:
    assert of_kind(renderer.rendered(), "PodDisruptionBudget") == []
    options = ("--set", "controller.podDisruptionBudget.enabled=true")
    [budget] = of_kind(renderer.rendered(*options), "PodDisruptionBudget")
    labels = pod(renderer, CONTROLLER)["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert "minAvailable" not in budget["spec"]  # with one replica it would block every drain


def test_uninstall_hook_is_bounded_to_two_minutes(renderer: Helm) -> None:
    [job] = of_kind(renderer.rendered("--set", "uninstall.timeoutSeconds=110"), "Job")
    assert job["spec"]["activeDeadlineSeconds"] <= 120
    assert job["spec"]["backoffLimit"] == 0
    with pytest.raises(HelmError, match="timeoutSeconds"):
        renderer.rendered("--set", "uninstall.timeoutSeconds=120")
    assert of_kind(renderer.rendered("--set", "uninstall.restore=false"), "Job") == []


def test_page_of_values_is_current() -> None:
    assert PAGE.read_text() == values_page(), "make chart-golden"
    assert README.read_text() == chart_readme(), "make chart-golden"


def test_every_value_has_a_meaning_unless_its_name_is_a_kubernetes_field() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| .*? \| (.*) \|$", values_page(), re.MULTILINE)
    unexplained = {path.rpartition(".")[2] for path, meaning in rows if not meaning}
    assert unexplained <= {
        "affinity", "imagePullSecrets", "nodeSelector", "podAnnotations", "podLabels", "podSecurityContext",
        "priorityClassName", "pullPolicy", "securityContext", "tolerations", "topologySpreadConstraints",
        "extraArgs", "extraEnv", "extraVolumes", "extraVolumeMounts", "updateStrategy", "minReadySeconds",
        "maxUnavailable", "window", "refreshInterval", "top",
    }  # fmt: skip


def test_examples_do_not_collide_with_objects_of_the_chart(renderer: Helm) -> None:
    owned = {(one["kind"], one["metadata"]["name"]) for one in renderer.rendered()}
    examples = [
        one for path in (ROOT / "examples").glob("*.yaml") for one in yaml.safe_load_all(path.read_text())
    ]
    assert examples
    assert owned & {(one["kind"], one["metadata"]["name"]) for one in examples} == set()
