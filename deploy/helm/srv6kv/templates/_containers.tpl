{{/* Writes VPP's start-up commands: they hold the node's address. */}}
{{- define "srv6kv.vppExecContainer" -}}
- name: vpp-exec
  image: {{ include "srv6kv.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - vpp-exec
    - --config=/etc/contiv/contiv.conf
    - --out=/etc/srv6kv/vpp/vpp.exec
    {{- if .Values.etcd.endpoints }}
    {{- include "srv6kv.etcdArguments" . | trim | nindent 4 }}
    {{- end }}
  env:
    {{- include "srv6kv.nodeName" . | nindent 4 }}
  securityContext:
    {{- include "srv6kv.restricted" . | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    {{- include "srv6kv.mounts" . | nindent 4 }}
    {{- with include "srv6kv.etcdMounts" . }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    - name: vpp-exec
      mountPath: /etc/srv6kv/vpp
{{- end }}

{{- define "srv6kv.container" -}}
- name: srv6kv
  image: {{ include "srv6kv.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - run
    - --config=/etc/contiv/contiv.conf
    {{- include "srv6kv.etcdArguments" . | trim | nindent 4 }}
    {{- if include "srv6kv.isOnPodAddress" . }}
    - --listen=[$(POD_IP)]:{{ .Values.telemetry.port }}
    {{- else }}
    - --listen=127.0.0.1:{{ .Values.telemetry.port }}
    {{- end }}
    {{- if .Values.agent.enabled }}
    - --agent-rest=http://127.0.0.1:9191
    {{- end }}
    - --log-level={{ .Values.logLevel }}
    - --log-format={{ .Values.logFormat }}
  env:
    {{- include "srv6kv.nodeName" . | nindent 4 }}
    {{- include "srv6kv.label" . | nindent 4 }}
    {{- if include "srv6kv.isOnPodAddress" . }}
    - name: POD_IP
      valueFrom:
        fieldRef:
          fieldPath: status.podIP
  ports:
    - name: telemetry
      containerPort: {{ .Values.telemetry.port }}
    {{- end }}
  # Only a restart helps if the loop hangs; etcd or the API server being away is no reason for one.
  livenessProbe:
    httpGet:
      path: /livez
      port: {{ .Values.telemetry.port }}
      {{- if not (include "srv6kv.isOnPodAddress" .) }}
      host: 127.0.0.1
      {{- end }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet:
      path: /readyz
      port: {{ .Values.telemetry.port }}
      {{- if not (include "srv6kv.isOnPodAddress" .) }}
      host: 127.0.0.1
      {{- end }}
    periodSeconds: 5
    timeoutSeconds: 5
  securityContext:
    {{- include "srv6kv.restricted" . | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    {{- include "srv6kv.mounts" . | nindent 4 }}
    {{- with include "srv6kv.etcdMounts" . }}
    {{- . | trim | nindent 4 }}
    {{- end }}
{{- end }}

{{/* VPP and the agent, which restart together: the container ends when either process does. The probe
     asks for nothing but the agent's connection to VPP: a restart for any other reason, such as an
     etcd that is away, would cost the node its forwarding. */}}
{{- define "srv6kv.agentContainer" -}}
- name: vpp-agent
  image: {{ .Values.agent.image.repository }}:{{ .Values.agent.image.tag }}
  imagePullPolicy: {{ .Values.agent.image.pullPolicy }}
  env:
    {{- include "srv6kv.label" . | nindent 4 }}
    - name: INITIAL_LOGLVL
      value: {{ .Values.agent.logLevel }}
    {{- if .Values.agent.publishStatus }}
    - name: ENABLE_STATUS_PUBLISHING
      value: "true"
    {{- end }}
  # An agent that has lost VPP for more than 3 to 20 s never connects again: both restart then.
  livenessProbe:
    exec:
      command:
        - sh
        - -c
        - '! curl -s -m 4 http://127.0.0.1:9191/liveness | grep -q ''"govpp":{"state":2'''
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 4
  readinessProbe:
    httpGet:
      path: /readiness
      port: 9191
      host: 127.0.0.1
    periodSeconds: 5
    timeoutSeconds: 5
  securityContext:
    privileged: true
  resources:
    {{- $more := dict }}
    {{- with .Values.agent.hugepages2Mi }}
    {{- $more = dict "limits" (dict "hugepages-2Mi" .) }}
    {{- end }}
    {{- toYaml (merge $more .Values.agent.resources) | nindent 4 }}
  volumeMounts:
    {{- range list "etcd.conf" "govpp.conf" "http.conf" "grpc.conf" }}
    - name: agent-conf
      mountPath: /opt/vpp-agent/dev/{{ . }}
      subPath: {{ . }}
      readOnly: true
    {{- end }}
    - name: agent-conf
      mountPath: /etc/vpp/vpp.conf
      subPath: vpp.conf
      readOnly: true
    - name: vpp-exec
      mountPath: /etc/srv6kv/vpp
      readOnly: true
    {{- if .Values.etcd.tls.secretName }}
    - name: etcd-tls
      mountPath: /etc/srv6kv/etcd-tls
      readOnly: true
    {{- end }}
    - name: run-vpp
      mountPath: /run/vpp
    - name: netns
      mountPath: /run/netns
      mountPropagation: HostToContainer
    {{- if .Values.agent.hugepages2Mi }}
    - name: hugepages
      mountPath: /dev/hugepages
    {{- end }}
{{- end }}

{{/* An etcd for this node alone; whoever is on the node's loopback may write. */}}
{{- define "srv6kv.etcdContainer" -}}
- name: etcd
  image: {{ .Values.etcd.image.repository }}:{{ .Values.etcd.image.tag }}
  imagePullPolicy: {{ .Values.etcd.image.pullPolicy }}
  command:
    - etcd
    - --data-dir=/var/lib/etcd/data
    - --listen-client-urls=http://127.0.0.1:12379
    - --advertise-client-urls=http://127.0.0.1:12379
    - --listen-peer-urls=http://127.0.0.1:12380
    - --initial-advertise-peer-urls=http://127.0.0.1:12380
    - --initial-cluster=default=http://127.0.0.1:12380
    - --auto-compaction-retention=1
  livenessProbe:
    httpGet:
      path: /health?serializable=true
      port: 12379
      host: 127.0.0.1
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  securityContext:
    {{- include "srv6kv.restricted" . | nindent 4 }}
  resources:
    {{- toYaml .Values.etcd.resources | nindent 4 }}
  volumeMounts:
    - name: etcd-data
      mountPath: /var/lib/etcd
{{- end }}
