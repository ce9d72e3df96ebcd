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
{{- $images := .root.Values.images -}}
{{ $images.registry | required "images.registry: the address that your images lie below" }}/{{ .image }}
{{- with index ($images.digests | default dict) .image -}}
@{{ . }}
{{- else -}}
:{{ $images.tag | required "images.tag: the commit that the images were built from" }}
{{- end -}}
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

{{/* What the decision service signs with, the job has to know. */}}
{{- define "fraud.answerKeysMount" -}}
{{- if .Values.decide.enabled -}}
- {name: answer-keys, mountPath: /etc/fraud-answers, readOnly: true}
{{- end }}
{{- end }}

{{- define "fraud.answerKeysVolume" -}}
{{- if .Values.decide.enabled -}}
- {name: answer-keys, secret: {secretName: {{ .Values.decide.answerKeysSecret }}}}
{{- end }}
{{- end }}

{{/* All that the operator runs the job by. */}}
{{- define "fraud.jobSpec" -}}
{{- $root := .root }}
{{- $job := .root.Values.job -}}
mainClass: org.apache.spark.deploy.PythonRunner
pyFiles: local:///opt/fraud/processor/main.py
driverArgs: [--config, /etc/fraud/config.yaml]
runtimeVersions: {sparkVersion: {{ $job.sparkVersion | quote }}, scalaVersion: "2.13"}
applicationTolerations:
  # A stream has no end: whatever ended it, it starts again from its checkpoint. Only attempts that fail soon after
  # their start count, so that a faulty release stops by itself and one bad night a year does not.
  restartConfig:
    restartPolicy: Always
    maxRestartAttempts: {{ int64 $job.restart.maxAttempts }}
    restartBackoffMillis: {{ int64 $job.restart.backoffMs }}
    restartCounterResetMillis: {{ int64 $job.restart.resetAfterMs }}
  # The operator's own times are five minutes each: for less than a start may take, and hardly more than a stop may.
  applicationTimeoutConfig:
    driverReadyTimeoutMillis: {{ mul 1000 (add $job.startS 60) }}
    executorStartTimeoutMillis: {{ mul 1000 (add $job.startS 60) }}
    forceTerminationGracePeriodMillis: {{ mul 1000 (add $root.Values.settings.job.stop_timeout_s 120) }}
  resourceRetainPolicy: Never
  instanceConfig:
    minExecutors: 1
    initExecutors: {{ $job.executors.instances }}
    maxExecutors: {{ $job.executors.instances }}
sparkConf: {{- toYaml (merge (deepCopy $job.sparkConf) .conf) | nindent 2 }}
driverSpec:
  podTemplateSpec:
    metadata:
      labels: {{- include "fraud.labels" (dict "root" $root "component" "driver") | nindent 8 }}
      annotations:
        # Losing the driver restarts the whole job; no node may be emptied for thrift while it holds one.
        karpenter.sh/do-not-disrupt: "true"
        cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
        {{- include "fraud.settingsChecksum" $root | nindent 8 }}
    spec:
      {{- include "fraud.podSecurity" $root | replace "automountServiceAccountToken: false" "automountServiceAccountToken: true" | nindent 6 }}
      terminationGracePeriodSeconds: {{ add $root.Values.settings.job.stop_timeout_s 60 }}
      nodeSelector: {{- toYaml $job.driver.nodeSelector | nindent 8 }}
      tolerations: {{- toYaml $job.driver.tolerations | nindent 8 }}
      containers:
        - name: spark-kubernetes-driver
          {{- include "fraud.containerSecurity" $root | nindent 10 }}
          env:
            - {name: NUMBA_CACHE_DIR, value: /data/numba}
          ports:
            - {name: health, containerPort: {{ $root.Values.settings.health.port }}}
          startupProbe:
            httpGet: {path: /ready, port: health}
            periodSeconds: 5
            failureThreshold: {{ div $job.startS 5 }}
          livenessProbe:
            httpGet: {path: /live, port: health}
            periodSeconds: 20
          readinessProbe:
            httpGet: {path: /ready, port: health}
            periodSeconds: 10
          resources:
            requests: {ephemeral-storage: {{ $job.driver.localStorage }}}
            limits: {ephemeral-storage: {{ $job.driver.localStorage }}}
          volumeMounts:
            {{- include "fraud.mounts" $root | nindent 12 }}
            - {name: spark-local-dir-1, mountPath: /data}
            - {name: work, mountPath: /opt/spark/work-dir}
            {{- include "fraud.answerKeysMount" $root | nindent 12 }}
      volumes:
        {{- include "fraud.volumes" $root | nindent 8 }}
        {{- include "fraud.answerKeysVolume" $root | nindent 8 }}
        - {name: spark-local-dir-1, emptyDir: {sizeLimit: {{ $job.driver.localStorage }}}}
        - {name: work, emptyDir: {}}
executorSpec:
  podTemplateSpec:
    metadata:
      labels: {{- include "fraud.labels" (dict "root" $root "component" "executor") | nindent 8 }}
    spec:
      {{- include "fraud.podSecurity" $root | nindent 6 }}
      terminationGracePeriodSeconds: 120
      nodeSelector: {{- toYaml $job.executors.nodeSelector | nindent 8 }}
      tolerations: {{- toYaml $job.executors.tolerations | nindent 8 }}
      topologySpreadConstraints:
        # Spread over nodes, but kept in few zones by the scheduler's choice: a shuffle across zones costs money.
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "fraud.selector" (dict "root" $root "component" "executor") | nindent 14 }}
      containers:
        - name: spark-kubernetes-executor
          {{- include "fraud.containerSecurity" $root | nindent 10 }}
          env:
            - {name: NUMBA_CACHE_DIR, value: /data/numba}
          {{- if not $job.executors.storageClass }}
          resources:
            requests: {ephemeral-storage: {{ $job.executors.localStorage }}}
            limits: {ephemeral-storage: {{ $job.executors.localStorage }}}
          {{- end }}
          volumeMounts:
            - {name: scratch, mountPath: /tmp}
            - {name: spark-local-dir-1, mountPath: /data}
            - {name: work, mountPath: /opt/spark/work-dir}
            {{- include "fraud.answerKeysMount" $root | nindent 12 }}
      volumes:
        {{- include "fraud.answerKeysVolume" $root | nindent 8 }}
        - {name: scratch, emptyDir: {}}
        - {name: work, emptyDir: {}}
        - name: spark-local-dir-1
          {{- if $job.executors.storageClass }}
          ephemeral:
            volumeClaimTemplate:
              spec:
                accessModes: [ReadWriteOnce]
                storageClassName: {{ $job.executors.storageClass }}
                resources: {requests: {storage: {{ $job.executors.localStorage }}}}
          {{- else }}
          emptyDir: {sizeLimit: {{ $job.executors.localStorage }}}
          {{- end }}
{{- end }}
