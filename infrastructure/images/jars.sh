#!/usr/bin/env bash
# Resolves the jars that checkpoints in S3 need (jars.xml) into a folder, and fails where one of them is absent: the step of
# the job's image, also run by `make s3a-check`.
#   infrastructure/images/jars.sh FOLDER [OPTION OF MAVEN ...]
set -euo pipefail
folder=${1:?folder for the jars}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mvn --batch-mode --quiet -f "$here/jars.xml" "$@" \
  org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies -DoutputDirectory="$folder"
ls "$folder"/spark-hadoop-cloud_2.13-*.jar "$folder"/hadoop-aws-*.jar "$folder"/bundle-*.jar
