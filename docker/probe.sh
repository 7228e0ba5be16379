#!/bin/bash
# Asks the health listener of the node in this container: `/app/probe.sh /readyz`. Prints what it answers; exit code 0 when
# the answer is good, else 1. By bash alone, so that a probe costs no process of Node and the image needs no curl.
exec 3<>/dev/tcp/127.0.0.1/8091 || exit 1
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
mapfile -t answer <&3
printf '%s\n' "${answer[-1]}"
[[ ${answer[0]} == 'HTTP/1.1 200 '* ]]
