{{- /* What a pod of a role mounts: name -> volume source. Only what the role uses. */ -}}
{{- define "tidemark.mounted" -}}
{{- $files := .root.Values.files -}}
{{- $mounted := dict -}}
{{- with $files.kafkaTls.existingSecret }}{{ $_ := set $mounted "kafka-tls" (dict "secret" (dict "secretName" . "defaultMode" 288)) }}{{ end -}}
{{- if has .role (list "aggregator" "api") -}}
{{- with $files.redisTls.existingSecret }}{{ $_ := set $mounted "redis-tls" (dict "secret" (dict "secretName" . "defaultMode" 288)) }}{{ end -}}
{{- end -}}
{{- if eq .role "api" -}}
{{- with $files.jwtKeys.existingConfigMap }}{{ $_ := set $mounted "jwt-keys" (dict "configMap" (dict "name" .)) }}{{ end -}}
{{- with $files.tiers.existingConfigMap }}{{ $_ := set $mounted "tiers" (dict "configMap" (dict "name" .)) }}{{ end -}}
{{- end -}}
{{- toJson $mounted -}}
{{- end -}}

{{- /* What every pod has, the hook's too: who it is, what it mounts, what it may not do. */ -}}
{{- define "tidemark.podCommon" -}}
automountServiceAccountToken: false
# A service called tidemark-api would give every pod of the namespace a variable TIDEMARK_API_PORT, which is no setting
# and is refused.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- range $name, $source := include "tidemark.mounted" . | fromJson }}
  - name: {{ $name }}
    {{- toYaml $source | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "tidemark.containerCommon" -}}
image: {{ include "tidemark.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
env:
  {{- include "tidemark.env" . | trim | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- range $name, $_ := include "tidemark.mounted" . | fromJson }}
  - name: {{ $name }}
    mountPath: /etc/tidemark/{{ $name }}
    readOnly: true
  {{- end }}
{{- end -}}

{{- /*
/healthz is the verdict of a role's own watchdog, which ends a stuck process by itself: a dependency that is away never
fails it. So liveness is for what the watchdog cannot see (nothing answers at all), and is in no hurry.
/readyz says what is missing. Nobody is routed to ingest and aggregator: of them it only paces a roll-out. The API stays
in its Service for 15 s without Redis: its own 503 with Retry-After says more than a refused connection.
*/ -}}
{{- define "tidemark.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: health }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: health }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: health }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}
