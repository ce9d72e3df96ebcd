#!/usr/bin/env bash
# Installs what `charts` lists at the versions there, or only the releases that are named; safe to repeat:
#   infrastructure/cluster/install.sh NAMESPACE_OF_THE_JOB [RELEASE ...]
# The operator watches the job's namespace alone; Prometheus takes the chart's monitors and rules by their label.
set -euo pipefail
namespace=${1:?namespace of the job}
shift
here=$(dirname "${BASH_SOURCE[0]}")

# known NAME: whether the list has it.
known() { grep -q "^$1 " "$here/charts"; }
for name in "$@"; do
  known "$name" || { echo "install: $here/charts has no $name" >&2; exit 2; }
done

while read -r release where repository chart version; do
  case $release in '#'* | '') continue ;; esac
  if [ $# -gt 0 ] && [[ " $* " != *" $release "* ]]; then continue; fi
  options=()
  if [ "$release" = spark-operator ]; then
    options=(--set "workloadResources.namespaces.data={$namespace}" --set workloadResources.namespaces.create=false)
  elif [ "$release" = prometheus-pushgateway ]; then
    options=(--set serviceMonitor.enabled=true --set serviceMonitor.additionalLabels.release=kube-prometheus-stack)
  fi
  helm upgrade --install "$release" "$chart" --repo "$repository" --version "$version" --namespace "$where" \
    --create-namespace --wait "${options[@]}" </dev/null
done <"$here/charts"
