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
{{- /* An APIService belongs to the whole cluster: there is none in namespaced mode. */ -}}
{{- define "batchpools.aggregated" -}}
{{- if and .Values.aggregatedApi.enabled (not .Values.watchNamespaces) }}true{{ end }}
{{- end }}
{{- define "batchpools.tokenKeys" -}}
{{- if and .Values.watchNamespaces .Values.nodeTokens.jwks }}true{{ end }}
{{- end }}
{{- /* Which namespaces, for operator and uninstall. */ -}}
{{- define "batchpools.scope" -}}
- {name: BATCHPOOLS_AGGREGATED_API, value: {{ include "batchpools.aggregated" . | default "false" | quote }}}
{{- with .Values.watchNamespaces }}
- {name: BATCHPOOLS_WATCH_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
{{- end }}
