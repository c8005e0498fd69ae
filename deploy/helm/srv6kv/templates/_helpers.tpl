{{/* The labels that select the pods. */}}
{{- define "srv6kv.selector" -}}
app.kubernetes.io/name: srv6kv
{{- end }}

{{- define "srv6kv.labels" -}}
{{ include "srv6kv.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* contiv.conf: .Values.contiv, with the two things that values.yaml tells of. */}}
{{- define "srv6kv.contivConf" -}}
{{- $conf := deepCopy .Values.contiv }}
{{- if not (or (hasKey $conf "nodeToNodeTransport") (hasKey $conf "useSRv6ForServices") (hasKey $conf "useNoOverlay") (hasKey $conf "useSRv6Interconnect")) }}
{{- $conf = merge $conf (dict "nodeToNodeTransport" "srv6" "useSRv6ForServices" true) }}
{{- end }}
{{- if not (or $conf.useSRv6ForServices (and $conf.useNoOverlay $conf.useSRv6Interconnect)) }}
{{- fail "contiv.useSRv6ForServices: must be true, or useNoOverlay and useSRv6Interconnect with the names of 3.1" }}
{{- end }}
{{- if $conf.ipamConfig.contivCIDR }}
{{- $_ := set $conf "ipamConfig" (omit $conf.ipamConfig "podSubnetCIDR" "podSubnetOneNodePrefixLen" "vppHostSubnetCIDR" "vppHostSubnetOneNodePrefixLen" "nodeInterconnectCIDR") }}
{{- end }}
{{- toYaml $conf }}
{{- end }}

{{/* Whether the pod runs an etcd of its own: "true" or nothing. */}}
{{- define "srv6kv.hasOwnEtcd" -}}
{{- if not .Values.etcd.endpoints }}
{{- if not .Values.agent.enabled }}{{ fail "etcd.endpoints: with agent.enabled: false name the etcd of your agent" }}{{ end -}}
true
{{- end }}
{{- end }}

{{- define "srv6kv.etcdEndpoints" -}}
{{- toJson (.Values.etcd.endpoints | default (list "127.0.0.1:12379")) }}
{{- end }}

{{/* How srv6kv reaches etcd. */}}
{{- define "srv6kv.etcdArguments" -}}
{{- range include "srv6kv.etcdEndpoints" . | fromJsonArray }}
- --etcd={{ . }}
{{- end }}
{{- if .Values.etcd.tls.secretName }}
- --etcd-ca=/etc/srv6kv/etcd-tls/ca.crt
{{- if .Values.etcd.tls.clientCertificate }}
- --etcd-cert=/etc/srv6kv/etcd-tls/tls.crt
- --etcd-key=/etc/srv6kv/etcd-tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "srv6kv.etcdMounts" -}}
{{- if .Values.etcd.tls.secretName }}
- name: etcd-tls
  mountPath: /etc/srv6kv/etcd-tls
  readOnly: true
{{- end }}
{{- end }}

{{/* Whether the pages are on the pod's address: "true" or nothing. */}}
{{- define "srv6kv.isOnPodAddress" -}}
{{- if or .Values.telemetry.onPodAddress .Values.telemetry.podMonitor.enabled }}true{{ end }}
{{- end }}

{{- define "srv6kv.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* For containers that need no right at all. */}}
{{- define "srv6kv.restricted" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Where srv6kv finds its settings and the token of the service account. */}}
{{- define "srv6kv.mounts" -}}
- name: contiv-conf
  mountPath: /etc/contiv
  readOnly: true
- name: api-token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{- define "srv6kv.nodeName" -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- end }}

{{- define "srv6kv.label" -}}
- name: MICROSERVICE_LABEL
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- end }}
