#!/usr/bin/env bash
# What a container of the job's image runs: `driver` and `executor` with the arguments that Spark gives its pods, anything
# else as a command.
#
# The driver is our program, which starts the JVM, as it does on a laptop. Spark's own entrypoint does it the other way
# round: spark-submit's JVM gets the pod's SIGTERM, ends at once and takes Python with it, in the middle of a micro-batch.
set -euo pipefail
case ${1:-} in
  driver) shift ;;
  executor) exec /opt/entrypoint.sh "$@" ;;
  *) exec "$@" ;;
esac

submit=(--deploy-mode client)
if [[ -n ${SPARK_DRIVER_BIND_ADDRESS:-} ]]; then
  submit+=(--conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS")
  submit+=(--conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS")
fi
while [[ ${1:-} == --* ]]; do
  if [[ $1 != --class ]]; then submit+=("$1" "${2?value of $1}"); fi
  shift 2
done
program=${1:?program that the driver runs}
shift
PYSPARK_SUBMIT_ARGS=$(printf '%q ' "${submit[@]}")pyspark-shell
export PYSPARK_SUBMIT_ARGS
exec "${PYSPARK_DRIVER_PYTHON:-python3}" "${program#local://}" "$@"
