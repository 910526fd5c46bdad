{{- /* One value as a setting reads it: a whole number stays one (Helm holds numbers as floats: 1.048576e+06). */ -}}
{{- define "tidemark.value" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.plain" -}}
- name: {{ .name }}
  value: {{ include "tidemark.value" .value | quote }}
{{ end -}}

{{- define "tidemark.secret" -}}
{{- with .secret.existingSecret -}}
- name: {{ $.name }}
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.secret.key }}
{{ end -}}
{{- end -}}

{{- /*
The variables of a role: (dict "root" $ "role" "ingest"). All given settings, where to listen, the files that are
mounted, and those secrets that this role uses and no other. They stand in the pod itself: a change rolls the pods, and
the hook that runs before anything else exists has them too.
*/ -}}
{{- define "tidemark.env" -}}
{{- $own := include "tidemark.of" . | fromJson -}}
{{- $secrets := include "tidemark.secrets" . | fromJson -}}
{{- $redis := has .role (list "aggregator" "api") -}}
{{- range $group, $names := include "tidemark.settings" . | fromJson -}}
{{- range $name, $value := $names -}}
{{- /* Who does not use Redis has neither its password nor its certificates, without which its settings are wrong. */ -}}
{{- if and (not (kindIs "invalid" $value)) (or (ne $group "redis") $redis) -}}
{{- include "tidemark.plain" (dict "name" (printf "TIDEMARK_%s__%s" $group $name | upper) "value" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "tidemark.listening" . -}}
{{- include "tidemark.fileVariables" . -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_KAFKA__SASL_PASSWORD" "secret" $secrets.kafkaPassword) -}}
{{- if $redis -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_REDIS__URL" "secret" $secrets.redisUrl) -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_REDIS__PASSWORD" "secret" $secrets.redisPassword) -}}
{{- end -}}
{{- if has .role (list "ingest" "aggregator" "api") -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_EVENTS__IDENTITY_SECRET" "secret" $secrets.identity) -}}
{{- end -}}
{{- if eq .role "api" -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_API__JWT_SECRET" "secret" $secrets.jwt) -}}
{{- end -}}
{{- if eq .role "canary" -}}
{{- if $secrets.canaryToken.existingSecret -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_CANARY__API_TOKEN" "secret" $secrets.canaryToken) -}}
{{- else -}}
{{- include "tidemark.secret" (dict "name" "TIDEMARK_API__JWT_SECRET" "secret" $secrets.jwt) -}}
{{- end -}}
{{- end -}}
{{- with $own.extraEnv -}}
{{ toYaml . }}
{{ end -}}
{{- end -}}

{{- /* 0.0.0.0: kubelet and Prometheus ask the pod's own address, never its loopback. */ -}}
{{- define "tidemark.listening" -}}
{{- $values := .root.Values -}}
{{- if eq .role "api" -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_API__HOST" "value" "0.0.0.0") -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_API__PORT" "value" $values.api.port) -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_API__HEALTH_HOST" "value" "0.0.0.0") -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_API__HEALTH_PORT" "value" $values.healthPort) -}}
{{- else if has .role (list "ingest" "aggregator" "canary") -}}
{{- include "tidemark.plain" (dict "name" (printf "TIDEMARK_%s__HOST" .role | upper) "value" "0.0.0.0") -}}
{{- include "tidemark.plain" (dict "name" (printf "TIDEMARK_%s__PORT" .role | upper) "value" $values.healthPort) -}}
{{- end -}}
{{- if eq .role "canary" -}}
{{- $api := printf "http://%s-api:%v" (include "tidemark.fullname" .root) $values.api.service.port -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_CANARY__API_URL" "value" $api) -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.fileVariables" -}}
{{- $files := .root.Values.files -}}
{{- include "tidemark.tlsVariables" (dict "server" "kafka" "tls" $files.kafkaTls) -}}
{{- if has .role (list "aggregator" "api") -}}
{{- include "tidemark.tlsVariables" (dict "server" "redis" "tls" $files.redisTls) -}}
{{- end -}}
{{- if and (eq .role "api") $files.jwtKeys.existingConfigMap -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_API__JWT_KEY_FILE" "value" (print "/etc/tidemark/jwt-keys/" $files.jwtKeys.key)) -}}
{{- end -}}
{{- if and (eq .role "api") $files.tiers.existingConfigMap -}}
{{- include "tidemark.plain" (dict "name" "TIDEMARK_API__TIERS_FILE" "value" (print "/etc/tidemark/tiers/" $files.tiers.key)) -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.tlsVariables" -}}
{{- if .tls.existingSecret -}}
{{- range $name, $key := dict "ca" .tls.ca "certificate" .tls.certificate "key" .tls.key -}}
{{- if $key -}}
{{- $variable := printf "TIDEMARK_%s__SSL_%s_FILE" $.server $name | upper -}}
{{- include "tidemark.plain" (dict "name" $variable "value" (printf "/etc/tidemark/%s-tls/%s" $.server $key)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
