#!/bin/sh
# Starts the agent, which is this script's arguments, when VPP has its encap source and flow hash.
# A policy keeps those that VPP has when it is made, and VPP runs a start-up file only two seconds
# after its start, when an agent that connects at once has made its policies.
set -eu
socket=${VPP_CLI_SOCKET:-/run/vpp/cli.sock}
commands=${VPP_COMMANDS:-/etc/srv6kv/vpp/vpp.exec}

tell() {
    vppctl -s "$socket" "$@" </dev/null 2>&1
}

# A socket may be left over from an earlier VPP: what counts is an answer.
until tell show version >/dev/null; do sleep 0.05; done

while read -r line; do
    case $line in '' | '#'*) continue ;; esac
    left=100
    # shellcheck disable=SC2086  # the words of a command are its arguments
    until answer=$(tell $line) && [ -z "$answer" ]; do
        left=$((left - 1))
        if [ "$left" -eq 0 ]; then
            echo "start-agent: VPP says to '$line': $answer" >&2
            break
        fi
        sleep 0.05
    done
done <"$commands"

exec "$@"
