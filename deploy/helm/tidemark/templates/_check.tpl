{{- /* What no schema can say: each wrong combination ends with one sentence that names the value and the remedy. */ -}}
{{- define "tidemark.check" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is empty: name the repository to which you pushed the image that deploy/Dockerfile makes" -}}
{{- end -}}
{{- $roles := include "tidemark.roles" . | fromJsonArray -}}
{{- if .Values.topicsJob.enabled }}{{ $roles = prepend $roles "topics" }}{{ end -}}
{{- range $role := $roles -}}
{{- $context := dict "root" $ "role" $role -}}
{{- include "tidemark.checkKafka" $context -}}
{{- if has $role (list "ingest" "aggregator" "api") }}{{ include "tidemark.checkIdentity" $context }}{{ end -}}
{{- if has $role (list "aggregator" "api") }}{{ include "tidemark.checkRedis" $context }}{{ end -}}
{{- if has $role (list "api" "canary") }}{{ include "tidemark.checkTokens" $context }}{{ end -}}
{{- if has $role (list "ingest" "aggregator") }}{{ include "tidemark.checkWorkers" $context }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.checkIdentity" -}}
{{- $secrets := include "tidemark.secrets" . | fromJson -}}
{{- if not $secrets.identity.existingSecret -}}
{{- fail "secrets.identity.existingSecret is empty: name a secret whose key identity-secret keys the identity hash (kubectl create secret generic tidemark --from-literal=identity-secret=$(openssl rand -hex 32)), and never change that" -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.checkTokens" -}}
{{- $secrets := include "tidemark.secrets" . | fromJson -}}
{{- if eq .role "canary" -}}
{{- if not (or $secrets.jwt.existingSecret $secrets.canaryToken.existingSecret) -}}
{{- fail "canary.enabled: the canary has no token for the API: name a secret in secrets.canaryToken.existingSecret" -}}
{{- end -}}
{{- else if not (or $secrets.jwt.existingSecret (dig "api" "jwks_url" "" .root.Values.settings) .root.Values.files.jwtKeys.existingConfigMap) -}}
{{- fail "the API has nothing to check tokens with: name a secret in secrets.jwt.existingSecret, or give settings.api.jwks_url or files.jwtKeys.existingConfigMap" -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.checkKafka" -}}
{{- $kafka := (include "tidemark.settings" . | fromJson).kafka -}}
{{- $secrets := include "tidemark.secrets" . | fromJson -}}
{{- if not $kafka.bootstrap_servers -}}
{{- fail "settings.kafka.bootstrap_servers is empty: give host:port of your brokers, several with commas" -}}
{{- end -}}
{{- range splitList "," $kafka.bootstrap_servers -}}
{{- if not (regexMatch "^\\s*\\S+:[0-9]+\\s*$" .) -}}
{{- fail (printf "settings.kafka.bootstrap_servers: %q has no port: give host:port, several with commas" (trim .)) -}}
{{- end -}}
{{- end -}}
{{- $protocol := default "PLAINTEXT" $kafka.security_protocol -}}
{{- if and (hasPrefix "SASL" $protocol) (not (and $kafka.sasl_username $secrets.kafkaPassword.existingSecret)) -}}
{{- fail (printf "settings.kafka.security_protocol is %s, and %s has no user or no password: give settings.kafka.sasl_username and secrets.kafkaPassword.existingSecret, for all or for each role" $protocol .role) -}}
{{- end -}}
{{- $tls := .root.Values.files.kafkaTls -}}
{{- if and $tls.existingSecret (not (hasSuffix "SSL" $protocol)) -}}
{{- fail (printf "files.kafkaTls is given and settings.kafka.security_protocol is %s, which has no TLS: make it SSL or SASL_SSL" $protocol) -}}
{{- end -}}
{{- include "tidemark.checkPair" (dict "name" "files.kafkaTls" "tls" $tls) -}}
{{- end -}}

{{- define "tidemark.checkRedis" -}}
{{- $redis := default dict (include "tidemark.settings" . | fromJson).redis -}}
{{- $secrets := include "tidemark.secrets" . | fromJson -}}
{{- $tls := .root.Values.files.redisTls -}}
{{- $url := default "" $redis.url -}}
{{- if not (or $secrets.redisUrl.existingSecret $url) -}}
{{- fail "no Redis is given: give settings.redis.url, with secrets.redisPassword.existingSecret where it has a password, or name a secret that holds the whole URL in secrets.redisUrl.existingSecret" -}}
{{- end -}}
{{- if and $secrets.redisUrl.existingSecret (or $url $redis.username $secrets.redisPassword.existingSecret) -}}
{{- fail "secrets.redisUrl.existingSecret is given beside settings.redis.url, settings.redis.username or secrets.redisPassword.existingSecret: leave either the one or the others" -}}
{{- end -}}
{{- if regexMatch "^[a-z+]+://[^/]*@" $url -}}
{{- fail "settings.redis.url holds a user or password, which anybody could read who may look at a pod: give settings.redis.username and secrets.redisPassword.existingSecret" -}}
{{- end -}}
{{- if and $redis.username (not $secrets.redisPassword.existingSecret) -}}
{{- fail (printf "settings.redis.username is given, and %s has no password: give secrets.redisPassword.existingSecret" .role) -}}
{{- end -}}
{{- if and $tls.existingSecret $url (not (hasPrefix "rediss" $url)) -}}
{{- fail "files.redisTls is given and settings.redis.url has no TLS: let it begin with rediss" -}}
{{- end -}}
{{- include "tidemark.checkPair" (dict "name" "files.redisTls" "tls" $tls) -}}
{{- end -}}

{{- define "tidemark.checkPair" -}}
{{- if ne (empty .tls.certificate) (empty .tls.key) -}}
{{- fail (printf "%s names a client's certificate without its key, or the reverse: give both or none" .name) -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.checkWorkers" -}}
{{- $values := get .root.Values .role -}}
{{- $name := ternary "events_partitions" "frames_partitions" (eq .role "ingest") -}}
{{- $partitions := get .root.Values.settings.topics $name | int -}}
{{- $scaling := $values.autoscaling -}}
{{- $max := include "tidemark.maxReplicas" . | int -}}
{{- $why := printf "above settings.topics.%s (%d): one without a partition has nothing to do" $name $partitions -}}
{{- if $scaling.enabled -}}
{{- if gt $max $partitions -}}
{{- fail (printf "%s.autoscaling.maxReplicas is %d, %s" .role $max $why) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) $max -}}
{{- fail (printf "%s.autoscaling.minReplicas is %d, above the most that there can be (%d)" .role (int $scaling.minReplicas) $max) -}}
{{- end -}}
{{- if not .root.Values.autoscaling.prometheus.serverAddress -}}
{{- fail (printf "%s.autoscaling.enabled: KEDA asks Prometheus for lag: give autoscaling.prometheus.serverAddress" .role) -}}
{{- end -}}
{{- else if gt (int $values.replicas) $partitions -}}
{{- fail (printf "%s.replicas is %d, %s" .role (int $values.replicas) $why) -}}
{{- end -}}
{{- end -}}
