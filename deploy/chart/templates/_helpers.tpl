{{/* The name of what is written, and its labels. */}}
{{- define "orgate.name" -}}
{{- if contains "orgate" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-orgate{{ end -}}
{{- end }}
{{- define "orgate.labels" -}}
app.kubernetes.io/name: orgate-controller
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
{{/* The class of the Gateway: the one that its control plane brings, unless another is given. */}}
{{- define "orgate.gatewayClass" -}}
{{- .Values.gateway.className | default (ternary "istio" "eg" (eq .Values.gateway.controlPlane "Istio")) }}
{{- end }}
{{/* What the controller reads. */}}
{{- define "orgate.reads" -}}
- apiGroups: [orgate.io]
  resources: [organizationpolicies]
  verbs: [get, list, watch]
- apiGroups: [dp.wso2.com]
  resources: [tokenissuers]
  verbs: [get, list, watch]
- apiGroups: [orgate.io, dp.wso2.com]
  resources: [organizationpolicies/status, tokenissuers/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, backendtlspolicies]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
- apiGroups: [gateway.envoyproxy.io]
  resources: [backends, envoyextensionpolicies]
  verbs: [get, list, watch]
- apiGroups: [networking.istio.io]
  resources: [serviceentries, destinationrules, envoyfilters]
  verbs: [get, list, watch]
- apiGroups: [extensions.istio.io]
  resources: [wasmplugins]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
