{{- define "oomkeeper.name" -}}
{{ .Values.nameOverride | default "oomkeeper" }}
{{- end }}

{{- /* Prefix of the names of namespaced objects. Cluster-scoped names are fixed. */ -}}
{{- define "oomkeeper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if .Values.nameOverride -}}
{{ printf "%s-%s" .Release.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ .Release.Name }}
{{- end -}}
{{- end }}

{{- define "oomkeeper.image" -}}
{{- with .Values.global.imageRegistry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "oomkeeper.imagePullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets -}}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{- define "oomkeeper.labels" -}}
app.kubernetes.io/name: {{ include "oomkeeper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "oomkeeper.selector" -}}
app.kubernetes.io/name: {{ include "oomkeeper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* "true" on OpenShift, else empty. */ -}}
{{- define "oomkeeper.openshift" -}}
{{- if eq (toString .Values.openshift.enabled) "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}true{{ end -}}
{{- else if .Values.openshift.enabled }}true{{ end -}}
{{- end }}

{{- /* Security context of pods that run as an unprivileged user. */ -}}
{{- define "oomkeeper.unprivileged" -}}
{{- if include "oomkeeper.openshift" . -}}
{{ toYaml (omit .Values.controller.podSecurityContext "runAsUser" "runAsGroup" "fsGroup") }}
{{- else -}}
{{ toYaml .Values.controller.podSecurityContext }}
{{- end }}
{{- end }}

{{- /* Memory as bench/scale.py measures it, with a margin: 120 MiB at 5,000 nodes and 10,000 incidents. */ -}}
{{- define "oomkeeper.controllerResources" -}}
{{- if .Values.controller.resources -}}
{{ toYaml .Values.controller.resources }}
{{- else if eq .Values.controller.resourcesPreset "large" -}}
requests: {cpu: 200m, memory: 256Mi}
limits: {memory: 512Mi}
{{- else if eq .Values.controller.resourcesPreset "medium" -}}
requests: {cpu: 50m, memory: 160Mi}
limits: {memory: 256Mi}
{{- else -}}
requests: {cpu: 20m, memory: 96Mi}
limits: {memory: 192Mi}
{{- end }}
{{- end }}

{{/* Label selector of the agents' pods, as the controller's option takes it. */}}
{{- define "oomkeeper.agentSelector" -}}
app.kubernetes.io/name={{ include "oomkeeper.name" . }},app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=agent
{{- end }}

{{- /* Sources of the volume with the webhook's token and CA certificates; empty without either. */ -}}
{{- define "oomkeeper.webhookFiles" -}}
{{- with .Values.notifications.webhook }}
{{- if and .url .tokenSecret.name }}
- secret:
    name: {{ .tokenSecret.name }}
    items: [{key: {{ .tokenSecret.key | quote }}, path: token}]
{{- end }}
{{- if and .url .caConfigMap.name }}
- configMap:
    name: {{ .caConfigMap.name }}
    items: [{key: {{ .caConfigMap.key | quote }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end }}

{{- /* Security context of the agent's container: as the values say, or without `privileged`. */ -}}
{{- define "oomkeeper.agentSecurityContext" -}}
{{- if .Values.agent.privileged -}}
{{ toYaml .Values.agent.securityContext }}
{{- else -}}
{{- $own := dict "allowPrivilegeEscalation" false "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $_ := set $own "capabilities" (dict "drop" (list "ALL") "add" .Values.agent.capabilities) -}}
{{ toYaml (merge $own (omit .Values.agent.securityContext "privileged")) }}
{{- end }}
{{- end }}
