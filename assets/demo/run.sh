#!/bin/sh
# Runs the demo job in a home of its own and says what to try next: in the workstation where there is a terminal, else
# with plain lines. Called by `make run` with AIRX set.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
airx=$(CDPATH='' cd -- "$(dirname -- "$AIRX")" && pwd)/$(basename -- "$AIRX")
home=${TMPDIR:-/tmp}/airx-demo-$(id -u)
mkdir -p "$home"
chmod 700 "$home"
rm -rf "$home/work"
mkdir "$home/work"
cp "$here/job.yaml" "$home/work/job.yaml"
printf 'claude: { binary: "%s" }\n' "$here/replay-claude" >"$home/config.yaml"

export AIRX_HOME="$home"
if [ -t 0 ] && [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
  "$airx" submit "$home/work/job.yaml"
  "$airx"
else
  "$airx" run "$home/work/job.yaml"
  echo
  "$airx" tasks demo
  echo
  echo "What Claude did (a recording, replayed):"
  "$airx" logs demo/claude
fi
cat <<END

To go on with this home:
  export AIRX_HOME=$home PATH="$(dirname -- "$airx"):\$PATH"
  airx                         the workstation
  airx status                  everything at a glance
  airx logs demo               what the tasks printed
  airx show demo/flaky         why its first attempt failed
  airx requeue demo/grow       run a task again
  airx stop                    end the manager that was started; what runs goes on
END
