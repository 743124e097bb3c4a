#!/bin/sh
# Becomes the process that is asked for. Puts dagster.yaml where Dagster looks for it, in a deployment that reaches its
# history by DAGSTER_POSTGRES_URL; a job of Kubernetes (DAGSTER_RUN_JOB_NAME) is given the chart's as an argument.
set -eu
if [ -n "${DAGSTER_POSTGRES_URL:-}" ] && [ -z "${DAGSTER_RUN_JOB_NAME:-}" ]; then
  : "${DAGSTER_HOME:?set it to a folder that this user can write: Dagster looks for dagster.yaml there}"
  mkdir -p "$DAGSTER_HOME"
  draft=$(mktemp "$DAGSTER_HOME/.dagster.yaml.XXXXXX")
  cp "$(dirname "$0")/../dagster.yaml" "$draft"
  chmod 644 "$draft"
  mv "$draft" "$DAGSTER_HOME/dagster.yaml" # whole at any moment: several processes start at once
fi
exec "$@"
