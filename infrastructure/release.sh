#!/usr/bin/env bash
# Brings what the chart says to a cluster and waits until its driver decides; where it does not, goes back and fails:
#   infrastructure/release.sh NAMESPACE RELEASE [OPTION OF helm upgrade ...]
# Helm waits for Deployments, but does not know when a SparkApplication is well: that is asked of the operator, for which a
# driver is ready when its /ready answers 200. RELEASE_TIMEOUT_S bounds the wait (900).
set -euo pipefail
namespace=${1:?namespace} release=${2:?name of the release}
shift 2
chart=$(dirname "${BASH_SOURCE[0]}")/helm/fraud
within=${RELEASE_TIMEOUT_S:-900}

# The application that the release now consists of; nothing where the job is switched off.
application() {
  helm get manifest "$release" --namespace "$namespace" |
    awk '/^kind: /{job = $2 == "SparkApplication"} job && /^  name: /{print $2; exit}'
}

# wait_for NAME: 0 once the application runs, 1 where it ended or takes too long.
wait_for() {
  local until=$((SECONDS + within)) state=
  while ((SECONDS < until)); do
    state=$(kubectl --namespace "$namespace" get sparkapplication "$1" \
      -o 'jsonpath={.status.currentState.currentStateSummary}' || true)
    case $state in
      RunningHealthy | RunningWithPartialCapacity) echo "release: $1 is $state" && return 0 ;;
      ResourceReleased | TerminatedWithoutReleaseResources) break ;;
    esac
    sleep "${RELEASE_POLL_S:-5}"
  done
  echo "release: $1 is ${state:-unknown} after $((SECONDS - until + within)) s" >&2
  kubectl --namespace "$namespace" logs -l app.kubernetes.io/component=driver --tail=5 >&2 || true
  return 1
}

before=$(helm history "$release" --namespace "$namespace" --max 1 -o json 2>/dev/null || true)
before=$(sed -n 's/.*"revision":\([0-9]*\).*/\1/p' <<<"$before")
if helm upgrade --install "$release" "$chart" --namespace "$namespace" --wait --timeout 10m "$@"; then
  name=$(application)
  if [[ -z $name ]] || wait_for "$name"; then exit 0; fi
fi
if [[ -z $before ]]; then
  echo "release: failed, and there is no earlier revision to go back to" >&2
  exit 1
fi
echo "release: failed; going back to revision $before" >&2
helm rollback "$release" "$before" --namespace "$namespace" --wait --timeout 10m >&2
name=$(application)
[[ -z $name ]] || wait_for "$name" >&2
exit 1
