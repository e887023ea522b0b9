#!/usr/bin/env bash
# Runs Schemathesis over every operation of the API: what acsd answers has to be what its description says.
#
#   tests/schemathesis.sh [ARGUMENT...]     further arguments go to `schemathesis run`
#   SCHEMATHESIS_EXAMPLES=200               requests made up per operation, beyond the fixed ones (unless told: 8)
#
# Needs Python 3 with its venv module, and at the first run a package index to install Schemathesis from; exits with 3 where it
# cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

version=4.32.5
venv=target/schemathesis
binary=${ACSD_BINARY:-target/debug/acsd}
examples=${SCHEMATHESIS_EXAMPLES:-8}
seeded=40

if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -qwF "$version"; then
    echo "schemathesis.sh: installing Schemathesis $version below $venv"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "schemathesis==$version"; }; then
        echo "schemathesis.sh: Schemathesis cannot be installed" >&2
        exit 3
    fi
fi
[ -n "${ACSD_BINARY:-}" ] || cargo build --locked --quiet --bin acsd

folder=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap finish EXIT

export ACSD_ADMIN_TOKEN=schemathesis-speaks-with-this-token
ACSD_DATA_DIR=$folder/data "$binary" serve --config tests/schemathesis/acsd.toml >"$folder/log" 2>&1 &
server=$!
address=
for _ in $(seq 300); do
    address=$(sed -n 's/.*ready: .*the API on \([0-9.:]*\).*/\1/p' "$folder/log")
    [ -z "$address" ] || break
    if ! kill -0 "$server" 2>/dev/null; then
        break
    fi
    sleep 0.1
done
if [ -z "$address" ]; then
    cat "$folder/log" >&2
    echo "schemathesis.sh: acsd does not start" >&2
    exit 1
fi
base=http://$address

# seed PATH: creates a record of each line of JSON that is read.
seed() {
    while read -r record; do
        curl --silent --show-error --fail --output /dev/null --request POST "$base/api/v1/$1/" --data "$record" \
            --header "Authorization: Bearer $ACSD_ADMIN_TOKEN" --header 'Content-Type: application/json'
    done
}
numbers() {
    seq 2 $((seeded + 1))
}
numbers | sed 's/.*/{"id": &, "name": "organization &", "parent": 1}/' | seed organization
numbers | sed 's/.*/{"id": &, "name": "type &", "match": {"product_class": "ST&"}}/' | seed inventory_device_type
numbers | sed 's/.*/{"id": &, "name": "location &"}/' | seed inventory_location
numbers | sed 's/.*/{"name": "token &", "role": "viewer"}/' | seed api_token
numbers | sed 's/.*/{"id": &, "url": "http:\/\/127.0.0.1:9\/"}/' | seed webhook
numbers | sed 's/.*/{"id": &, "serial_number": "ST-&", "name": "device &"}/' | seed inventory_device_serial
numbers | sed 's/.*/{"serial_number": "ST-&", "operation": "get"}/' | seed inventory_device_serial_headless_operation

code=0
# What Schemathesis keeps between runs goes with the folder.
(cd "$folder" && SCHEMATHESIS_HOOKS=$root/tests/schemathesis/hooks.py "$root/$venv/bin/schemathesis" \
    --config-file "$root/tests/schemathesis/schemathesis.toml" run "$base/api/v1/openapi.json" \
    --max-examples "$examples" "$@") || code=$?
if ! kill -0 "$server" 2>/dev/null; then
    echo "schemathesis.sh: acsd has ended" >&2
    code=1
fi
if grep -E ' ERROR |panicked' "$folder/log" >&2; then
    echo "schemathesis.sh: acsd has logged errors" >&2
    code=1
fi
exit "$code"
