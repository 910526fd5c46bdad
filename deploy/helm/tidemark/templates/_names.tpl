{{- define "tidemark.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Labels by which pods of a role are found: (dict "root" $ "role" "ingest"), the role left out for all. */ -}}
{{- define "tidemark.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "tidemark.podLabels" -}}
{{ include "tidemark.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end -}}

{{- define "tidemark.labels" -}}
{{ include "tidemark.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tidemark.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := include "tidemark.of" . | fromJson -}}
{{- if $own.imageTag -}}
{{- printf "%s:%s" $image.repository $own.imageTag -}}
{{- else if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidemark.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The values of a role; the hook that makes the topics is the role "topics". */ -}}
{{- define "tidemark.of" -}}
{{- get .root.Values (ternary "topicsJob" .role (eq .role "topics")) | toJson -}}
{{- end -}}

{{- /* The settings of a role, and its secrets: what is said for all, with what is said for this one over it. */ -}}
{{- define "tidemark.settings" -}}
{{- $own := include "tidemark.of" . | fromJson -}}
{{- mergeOverwrite (deepCopy .root.Values.settings) (default dict $own.settings) | toJson -}}
{{- end -}}

{{- define "tidemark.secrets" -}}
{{- $own := include "tidemark.of" . | fromJson -}}
{{- mergeOverwrite (deepCopy .root.Values.secrets) (default dict $own.secrets) | toJson -}}
{{- end -}}

{{- /* The roles that run, in the order of an event's way. */ -}}
{{- define "tidemark.roles" -}}
{{- $roles := list "ingest" "aggregator" "api" -}}
{{- if .Values.canary.enabled }}{{ $roles = append $roles "canary" }}{{ end -}}
{{- toJson $roles -}}
{{- end -}}

{{- define "tidemark.maxReplicas" -}}
{{- $topics := .root.Values.settings.topics -}}
{{- $partitions := ternary $topics.events_partitions $topics.frames_partitions (eq .role "ingest") | int -}}
{{- default $partitions (get .root.Values .role).autoscaling.maxReplicas | int -}}
{{- end -}}
