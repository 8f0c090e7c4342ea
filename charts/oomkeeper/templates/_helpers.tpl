{{- define "oomkeeper.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "oomkeeper.labels" -}}
app.kubernetes.io/name: oomkeeper
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "oomkeeper.selector" -}}
app.kubernetes.io/name: oomkeeper
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
