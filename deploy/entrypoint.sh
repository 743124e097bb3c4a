#!/bin/sh
# Puts dagster.yaml where Dagster looks for it, and becomes the process that is asked for.
set -eu
mkdir -p "$DAGSTER_HOME"
draft=$(mktemp "$DAGSTER_HOME/.dagster.yaml.XXXXXX")
cp dagster.yaml "$draft"
chmod 644 "$draft"
mv "$draft" "$DAGSTER_HOME/dagster.yaml" # whole at any moment: several processes start at once
exec "$@"
