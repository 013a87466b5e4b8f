{{- define "batchpools.labels" -}}
app.kubernetes.io/name: batchpools
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "batchpools.selector" -}}
app.kubernetes.io/name: batchpools
app.kubernetes.io/component: operator
{{- end }}
{{- define "batchpools.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}
