#!/usr/bin/env bash
# Runs everything that has to be green: ./test.sh, or ./test.sh quick for formatting and tests alone.
#
# Needs Rust. What else is missing is installed from Debian packages where that is possible without a password.
set -euo pipefail
cd "$(dirname "$0")"

mode=${1:-full}
case "$mode" in
full | quick) ;;
*)
    echo "usage: ./test.sh [quick]" >&2
    exit 2
    ;;
esac

# What configures a daemon on this machine must not configure those that tests start. ACSD_CORPUS is for the tests.
while read -r name; do
    [ "$name" = ACSD_CORPUS ] || unset "$name"
done < <(compgen -e ACSD_ || true)

# need COMMAND PACKAGE
need() {
    command -v "$1" >/dev/null || install_package "$1" "$2"
}

# install_package WHAT PACKAGE
install_package() {
    local apt=(apt-get)
    if [ "$(id -u)" -ne 0 ]; then
        apt=(sudo -n apt-get)
    fi
    if command -v apt-get >/dev/null && "${apt[@]}" --version >/dev/null 2>&1; then
        echo "test.sh: installing $2, for $1"
        "${apt[@]}" update -qq
        DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends "$2"
    else
        echo "test.sh: $1 is missing: install the package $2 (Debian's name)" >&2
        exit 1
    fi
}

# need_component CARGO-COMMAND COMPONENT
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    if ! rustup component add "$2"; then
        echo "test.sh: cargo $1 is missing: install the toolchain's component $2" >&2
        exit 1
    fi
}

summary=()
current=preparation
started=$SECONDS

finish() {
    local code=$?
    echo
    for line in ${summary[@]+"${summary[@]}"}; do
        echo "$line"
    done
    if [ "$code" -eq 0 ]; then
        echo "test.sh: all green in $((SECONDS - started)) s"
    else
        echo "test.sh: FAILED in: $current (after $((SECONDS - started)) s)" >&2
    fi
}
trap finish EXIT

# step NAME COMMAND...
step() {
    current=$1
    shift
    echo
    echo "== $current: $*"
    local began=$SECONDS
    "$@"
    summary+=("$(printf '%5d s  %s' $((SECONDS - began)) "$current")")
}

# Schemathesis comes from a package index: without one it is left out, loudly; what it finds is a failure.
describe() {
    local code=0
    tests/schemathesis.sh || code=$?
    if [ "$code" -eq 3 ]; then
        summary+=("SKIPPED  $current: Schemathesis cannot be installed, is the network down?")
        return 0
    fi
    return "$code"
}

# The message and the place of a panic tell what failed; a long trace would bury them.
export RUST_BACKTRACE=0

if ! command -v cargo >/dev/null; then
    echo "test.sh: cargo is missing: install Rust (https://rustup.rs)" >&2
    exit 1
fi
need cc build-essential
need c++ build-essential
need make build-essential
need xmllint libxml2-utils
need strace strace
need_component fmt rustfmt

step "formatting" cargo fmt --all --check
if [ "$mode" = full ]; then
    need_component clippy clippy
    step "lints" cargo clippy --locked --all-targets -- -D warnings
    step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
    # A crate of its own, which nothing else here compiles.
    step "fuzz targets" cargo check --locked --manifest-path fuzz/Cargo.toml
    if cargo deny --version >/dev/null 2>&1; then
        step "dependency rules" cargo deny --locked check bans licenses sources
    else
        echo "cargo-deny is not installed: tests/it/dependencies.rs holds the rules of deny.toml by itself"
    fi
fi
# Power cuts and failing disks are made with strace, which some containers forbid: said in the summary, not passed over.
untraced=() untraced_nextest=()
if ! strace -f -o /dev/null true 2>/dev/null; then
    summary+=("SKIPPED  power cuts and failing disks: this system does not let strace trace")
    untraced=(-- --skip store::powercut --skip crash::faults --skip files::kills::full)
    untraced_nextest=(-E 'not (test(store::powercut) | test(crash::faults) | test(files::kills::full))')
fi
if cargo nextest --version >/dev/null 2>&1; then
    # What passes is counted; what fails is shown, once, at the end, where a log that is cut still has it.
    step "tests" cargo nextest run --locked --no-fail-fast --status-level slow --final-status-level fail \
        --failure-output final ${untraced_nextest[@]+"${untraced_nextest[@]}"}
else
    step "tests" cargo test --locked --no-fail-fast --lib --bins --tests ${untraced[@]+"${untraced[@]}"}
fi
step "documentation's examples" cargo test --locked --doc
if [ "$mode" = full ]; then
    need curl curl
    python3 -c 'import ensurepip' 2>/dev/null || install_package "python3 -m venv" python3-venv
    step "API against its description" describe
fi
