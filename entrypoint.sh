#!/bin/sh
# Hostler's commands and flags go to hostler; anything else is executed as given.
set -eu

case "${1:-run} ${2:-}" in
  # HAProxy's own flags have one dash, Hostler's have two: `haproxy -v` asks the program.
  'haproxy -'[!-]*) exec "$@" ;;
  # The system's own sleep takes a time, Hostler's a name.
  'sleep '[0-9]* | 'sleep infinity') exec "$@" ;;
  'run '* | 'generate '* | 'generate-maps '* | 'haproxy '* | 'render '* | 'check '* | 'status '* | 'plan '* | \
    'sync '* | 'wake '* | 'sleep '* | 'password '* | 'config '* | 'help '* | -*) ;;
  *) exec "$@" ;;
esac

# The groups that Hostler needs to use Docker's sockets, comma list; fails when only root may use one.
socket_groups() {
  groups=8008
  for endpoint in $(echo "${DOCKER_HOST:-unix:///var/run/docker.sock}" | tr ',' ' '); do
    socket=${endpoint#unix://}
    [ -S "$socket" ] || continue
    case $(stat -L -c %A "$socket") in
      ????rw*) groups="$groups,$(stat -L -c %g "$socket")" ;;
      *) return 1 ;;
    esac
  done
  echo "$groups"
}

# Started as root, it becomes the user hostler, with the groups of Docker's sockets and the right to bind ports below 1024.
if [ "$(id -u)" = 0 ] && groups=$(socket_groups); then
  exec setpriv --reuid=8008 --regid=8008 --groups="$groups" --no-new-privs \
    --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service hostler "$@"
fi
exec hostler "$@"
