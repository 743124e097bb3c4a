#!/bin/sh
# Becomes the process that is asked for. Puts dagster.yaml where Dagster looks for it, in a deployment that reaches its
# history by DAGSTER_POSTGRES_URL; without that (Dagster's chart has an instance of its own) nothing is written.
set -eu
if [ -n "${DAGSTER_POSTGRES_URL:-}" ]; then
  : "${DAGSTER_HOME:?set it to a folder that this user can write: Dagster looks for dagster.yaml there}"
  mkdir -p "$DAGSTER_HOME"
  draft=$(mktemp "$DAGSTER_HOME/.dagster.yaml.XXXXXX")
  cp "$(dirname "$0")/../dagster.yaml" "$draft"
  chmod 644 "$draft"
  mv "$draft" "$DAGSTER_HOME/dagster.yaml" # whole at any moment: several processes start at once
fi
exec "$@"
