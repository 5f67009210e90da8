#!/bin/sh
# Makes the stubs in shared/wire/v1 from the contract; PYTHON and OUT choose the interpreter and the output directory.
set -eu
cd "$(dirname "$0")/.."
OUT="${OUT:-.}"
exec "${PYTHON:-python3}" -m grpc_tools.protoc -Ishared/wire/v1=proto/tandem/v1 \
    --python_out="$OUT" --grpc_python_out="$OUT" --pyi_out="$OUT" proto/tandem/v1/target.proto
