#!/bin/sh
# SageMaker starts `IMAGE serve` or `IMAGE train` and gives folders, no flags. Where a model was given with the endpoint,
# it lies in /opt/ml/model; else the image's own one answers.
set -eu
case ${1:-serve} in
  serve)
    artifact=config/model/champion
    given=${SM_MODEL_DIR:-/opt/ml/model}
    if [ -e "$given/model.json" ]; then artifact=$given; fi
    exec fraud serve --host 0.0.0.0 --port "${SAGEMAKER_BIND_TO_PORT:-8080}" --artifact "$artifact" ;;
  train)
    exec python -m ml_model train ;;
  *)
    echo "sagemaker: $1 is neither serve nor train" >&2
    exit 2 ;;
esac
