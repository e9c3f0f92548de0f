{{- define "verdictd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what is put behind it. */}}
{{- define "verdictd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "verdictd.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "verdictd.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "verdictd.selector" -}}
app.kubernetes.io/name: {{ include "verdictd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "verdictd.daemon" -}}
{{ include "verdictd.selector" . }}
app.kubernetes.io/component: daemon
{{- end -}}

{{- define "verdictd.labels" -}}
{{ include "verdictd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: verdictd
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "verdictd.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "verdictd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "verdictd.subjects" -}}
- kind: ServiceAccount
  name: {{ include "verdictd.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Whether the daemon runs its own broker: "true", or nothing. */}}
{{- define "verdictd.embedded" -}}
{{- if eq (dig "nats" "url" "embedded" .Values.config) "embedded" -}}true{{- end -}}
{{- end -}}

{{/* How many daemons there are to be. */}}
{{- define "verdictd.replicas" -}}
{{- $wanted := toString .Values.replicas -}}
{{- $told := dig "replicas" "count" "" .Values.config | toString -}}
{{- if and $told (not (has $wanted (list "auto" $told))) -}}
{{- fail (printf "replicas is %s, and config.replicas.count %s: each daemon must know of the others; leave one of the two out" $wanted $told) -}}
{{- end -}}
{{- if ne $wanted "auto" -}}{{- $wanted -}}
{{- else if $told -}}{{- $told -}}
{{- else -}}{{- ternary 1 2 (eq (include "verdictd.embedded" .) "true") -}}
{{- end -}}
{{- end -}}

{{/* Whether several share the work: "true", or nothing. */}}
{{- define "verdictd.several" -}}
{{- if gt (include "verdictd.replicas" . | int) 1 -}}true{{- end -}}
{{- end -}}

{{- define "verdictd.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- $usual := printf "%s%s" $.Chart.AppVersion (ternary "-embedded" "" (eq (include "verdictd.embedded" $) "true")) -}}
{{- printf "%s:%s" .repository (default $usual .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "verdictd.token" -}}
{{- default (printf "%s-token" (include "verdictd.fullname" .)) .Values.token.existingSecret -}}
{{- end -}}

{{/* Whether reading takes a token: "true", or nothing. */}}
{{- define "verdictd.closed" -}}
{{- if eq (dig "http" "read" "open" .Values.config) "token" -}}true{{- end -}}
{{- end -}}

{{/* Whether the API itself speaks TLS: "true", or nothing. */}}
{{- define "verdictd.tls" -}}
{{- if dig "http" "tls" nil .Values.config -}}true{{- end -}}
{{- end -}}

{{/* Where its Service is; with TLS by the name that a certificate has. */}}
{{- define "verdictd.server" -}}
{{- if include "verdictd.tls" . -}}
{{- printf "https://%s.%s.svc:%v" (include "verdictd.fullname" .) .Release.Namespace .Values.service.port -}}
{{- else -}}
{{- printf "http://%s:%v" (include "verdictd.fullname" .) .Values.service.port -}}
{{- end -}}
{{- end -}}

{{/* What the commands in a pod need to know, as entries of env. */}}
{{- define "verdictd.commands" -}}
{{- if include "verdictd.closed" . }}
- name: VERDICTD_TOKEN_FILE
  value: {{ .Values.config.http.token_file }}
{{- end }}
{{- if include "verdictd.tls" . }}
- name: VERDICTD_SERVER
  value: {{ include "verdictd.server" . }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "verdictd.port" -}}
{{- .Values.config.http.listen | splitList ":" | last -}}
{{- end -}}

{{/* Word for word; where several share the work, with how many they are. */}}
{{- define "verdictd.settings" -}}
{{- $settings := deepCopy .Values.config -}}
{{- if include "verdictd.several" . -}}
{{- $count := dict "count" (include "verdictd.replicas" . | int) -}}
{{- $_ := set $settings "replicas" (merge $count (default dict $settings.replicas)) -}}
{{- end -}}
verdictd.yaml: |
{{ toYaml $settings | indent 2 }}
{{- end -}}

{{- define "verdictd.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "verdictd.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The ports of all addresses in the settings that it asks, as JSON: what is only told to people is none. */}}
{{- define "verdictd.ports" -}}
{{- $ports := .Values.networkPolicy.egressPorts -}}
{{- if not (include "verdictd.embedded" .) -}}{{- $ports = append $ports 4222 -}}{{- end -}}
{{- $asked := merge (dict "http" (omit .Values.config.http "public_url" "links")) (omit .Values.config "http") -}}
{{- range regexFindAll "[a-z]+://[^][/,\"'\\s]+" (toJson $asked) -1 -}}
{{- $usual := get (dict "https" "443" "nats" "4222" "tls" "4222") (. | splitList "://" | first) | default "80" -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default $usual | int) -}}
{{- end -}}
{{- if include "verdictd.tls" . -}}{{- $ports = append $ports .Values.service.port -}}{{- end -}}
{{- range .Values.config.telemetry -}}
{{- if eq .kind "sidecars" -}}{{- $ports = append $ports (.port | default 15090 | int) -}}{{- end -}}
{{- end -}}
{{- $numbers := list -}}
{{- range $ports -}}{{- $numbers = append $numbers (int .) -}}{{- end -}}
{{- $numbers | uniq | toJson -}}
{{- end -}}
