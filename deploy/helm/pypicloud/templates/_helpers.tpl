{{- define "pypicloud.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- define "pypicloud.selector" -}}
app.kubernetes.io/name: pypicloud
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "pypicloud.labels" -}}
{{ include "pypicloud.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
