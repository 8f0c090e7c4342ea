// Nothing is built: the module holds the custom resource definitions (tests/testbed/monitoring_crds.py).
module oomkeeper.dev/testbed/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.88.0
