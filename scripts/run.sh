#!/bin/sh
# Trains this run by hand, with the Python environment of requirements.lock:
#   PYTHON=/path/to/venv/bin/python ./run.sh [--resume]
cd "$(dirname "$0")" && exec "${PYTHON:-python3}" run.py job.json "$@"
