{{- /* What the operator may do in a namespace that it watches: by a ClusterRole in all, in namespaced mode by Roles. */ -}}
{{- define "batchpools.operatorRules" -}}
# Made and deleted for schedules; pools also for jobs with a pool of their own.
- apiGroups: [batchpools.dev]
  resources: [jobs, pools]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batchpools.dev]
  resources: [jobschedules, applicationpackages]
  verbs: [get, list, watch]
- apiGroups: [batchpools.dev]
  resources: [poolnodes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batchpools.dev]
  resources: [tasks]
  verbs: [get, list, watch, create, delete]
- apiGroups: [batchpools.dev]
  resources: [pools/status, poolnodes/status, jobs/status, tasks/status, jobschedules/status, applicationpackages/status]
  verbs: [patch]
# Owner references with blockOwnerDeletion need this where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [batchpools.dev]
  resources: [pools/finalizers, poolnodes/finalizers, jobs/finalizers, jobschedules/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# Who may reach the nodes of a pool.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# What keeps busy nodes from voluntary disruption.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# Whether a namespace is being deleted: then nothing in it is waited for. A Role may allow it for its own namespace.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}

{{- /* The barrier's objects: a new leader waits until its caches show what it wrote into them. The rest the rules above allow. */ -}}
{{- define "batchpools.barrierRules" -}}
- apiGroups: [batchpools.dev]
  resources: [pools, jobs]
  verbs: [create]
- apiGroups: [batchpools.dev]
  resources: [pools, jobs]
  resourceNames: [batchpools-barrier]
  verbs: [delete]
- apiGroups: [batchpools.dev]
  resources: [tasks]
  resourceNames: [batchpools-barrier]
  verbs: [patch]
{{- end }}

{{- define "batchpools.viewRules" -}}
- apiGroups: [batchpools.dev]
  resources: [pools, poolnodes, jobs, tasks, jobschedules, applicationpackages]
  verbs: [get, list, watch]
{{- end }}

{{- define "batchpools.editRules" -}}
- apiGroups: [batchpools.dev]
  resources: [pools, jobs, tasks, jobschedules, applicationpackages]
  verbs: [create, update, patch, delete, deletecollection]
- apiGroups: [batchpools.dev]
  resources: [pools/scale]
  verbs: [get, update, patch]
- apiGroups: [batchpools.dev]
  resources: [poolnodes]
  verbs: [delete, deletecollection]
{{- end }}

{{- /* The one subject of every binding. */ -}}
{{- define "batchpools.subjects" -}}
subjects:
- {kind: ServiceAccount, name: batchpools, namespace: {{ .Release.Namespace }}}
{{- end }}
