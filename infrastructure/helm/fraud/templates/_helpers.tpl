{{- define "fraud.labels" -}}
app.kubernetes.io/part-of: fraud
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Values.images.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "fraud.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "fraud.image" -}}
{{ .root.Values.images.registry | required "images.registry: the address that your images lie below" }}/{{ .image }}:{{ .root.Values.images.tag | required "images.tag: the commit that the images were built from" }}
{{- end }}

{{/* Restricted pod security, and no service links: a variable such as FRAUD_CONSOLE_PORT would be read as a setting. */}}
{{- define "fraud.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 185
  runAsGroup: 185
  fsGroup: 185
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fraud.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "fraud.resources" -}}
resources:
  requests: {cpu: {{ .cpu | quote }}, memory: {{ .memory }}, ephemeral-storage: 1Gi}
  limits: {memory: {{ .memory }}, ephemeral-storage: {{ .localStorage | default "8Gi" }}}
{{- end }}

{{- define "fraud.mounts" -}}
- {name: settings, mountPath: /etc/fraud, readOnly: true}
- {name: scratch, mountPath: /tmp}
{{- end }}

{{- define "fraud.volumes" -}}
- name: settings
  configMap: {name: {{ .Release.Name }}-settings}
- name: scratch
  emptyDir: {}
{{- end }}

{{/* Pods start again when the settings that they read at start change. */}}
{{- define "fraud.settingsChecksum" -}}
fraud/settings-checksum: {{ toYaml .Values.settings | sha256sum }}
{{- end }}
