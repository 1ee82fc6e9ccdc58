#!/bin/sh
# Supervises one Docker engine of the tests, and leaves nothing of it behind: no process, mount, socket, cgroup or file.
#   docker-init -s -- sh engine.sh RUN STATE shared              ends by itself when no test has held STATE/lease for 20 s
#   docker-init -s -- sh engine.sh RUN STATE private [OPTION]…   obeys lines on standard input: start, kill, stop; ends with it
# docker-init adopts what loses its parent, so everything the engine ever started is known as a descendant of it, by process id.
# RUN is a short path for sockets, STATE holds the data. Options are dockerd's.
set -u
export PATH=/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin
run=$1 state=$2 mode=$3
shift 3
engine= containerd=
group=/$(basename "$run")

# All descendants of a process, one a line.
descendants() {
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}

# Ends every process of the engine; a paused container must be thawed to die.
end_processes() {
    [ -z "$engine" ] || kill -9 "$engine" 2>/dev/null
    tries=0
    while [ "$tries" -lt 200 ]; do
        descendants "$PPID" >"$state/left"
        left=0
        while read -r pid; do
            if [ "$pid" = "$$" ] || [ ! -e "/proc/$pid/exe" ]; then continue; fi
            left=$((left + 1))
            frozen=/sys/fs/cgroup/freezer$(sed -n 's/^[0-9]*:freezer://p' "/proc/$pid/cgroup" 2>/dev/null)/freezer.state
            case $frozen in *"$group"/*) echo THAWED >"$frozen" ;; esac
            kill -9 "$pid" 2>/dev/null
        done <"$state/left"
        [ "$left" -gt 0 ] || break
        tries=$((tries + 1))
        sleep 0.05
    done
    engine=
    wait
}

# What an engine leaves in the system beside processes.
sweep() {
    # One whose supervisor was killed: the process that its own file names, if it is still that.
    if old=$(cat "$run/pid" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$old/cmdline" | grep -qF -- "--exec-root $run/exec"; then
        kill -9 "$old"
    fi
    # Its containers' processes, and the shims that are their parents.
    for pid in $(cat /sys/fs/cgroup"$group"/*/cgroup.procs /sys/fs/cgroup/*"$group"/*/cgroup.procs 2>/dev/null); do
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
        case $(readlink "/proc/$parent/exe") in */containerd-shim*) kill -9 "$parent" ;; esac
        kill -9 "$pid" 2>/dev/null
    done
    while read -r _ _ _ _ point _; do
        point=$(printf '%b' "$point")
        case $point in "$run"/* | "$state"/*) umount -l "$point" ;; esac
    done <<END
$(sed -n '1!G;h;$p' /proc/self/mountinfo)
END
    for address in "$run"/exec/containerd/daemon/io.containerd.runtime.v2.task/*/*/address; do
        [ -e "$address" ] || continue
        socket=$(cat "$address")
        rm -f "${socket#unix://}"
    done
    for parent in /sys/fs/cgroup"$group" /sys/fs/cgroup/*"$group"; do
        [ -d "$parent" ] || continue
        find "$parent" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    rm -rf --one-file-system "$run" "$state/data"
}

# Overlays need a file system below that can carry them; another overlay cannot.
driver() {
    mkdir -p "$state/data" "$state/probe/low" "$state/probe/up" "$state/probe/work" "$state/probe/on"
    if mount -t overlay -o "lowerdir=$state/probe/low,upperdir=$state/probe/up,workdir=$state/probe/work" probe "$state/probe/on" \
        2>/dev/null; then
        umount "$state/probe/on"
        echo overlay2
    else
        echo vfs
    fi
    rm -rf "$state/probe"
}

# With dockerd's options. A system's containerd would be used if it ran: then one of our own runs beside it.
start() {
    if [ -n "$containerd" ] && kill -0 "$containerd" 2>/dev/null; then
        set -- "$@" --containerd "$run/exec/containerd/own.sock"
    elif [ -S /run/containerd/containerd.sock ]; then
        mkdir -p "$run/exec/containerd"
        printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
            "$state/data/containerd/daemon" "$run/exec/containerd/daemon" "$run/exec/containerd/own.sock" >"$run/containerd.toml"
        containerd --config "$run/containerd.toml" >>"$state/log" 2>&1 7>&- &
        containerd=$!
        set -- "$@" --containerd "$run/exec/containerd/own.sock"
    fi
    dockerd --config-file "$run/daemon.json" --data-root "$state/data" --exec-root "$run/exec" --pidfile "$run/pid" \
        --host "unix://$run/docker.sock" --cgroup-parent "$group" --bridge=none --iptables=false \
        --storage-driver "$driver" "$@" >>"$state/log" 2>&1 7>&- &
    engine=$!
}

finish() {
    trap '' TERM INT HUP
    end_processes
    rm -f "$run/pid"
    sweep
    # A test that was killed does not take away its own directory.
    [ "$mode" = shared ] || rm -rf --one-file-system "$state"
    exit 0
}

mkdir -p "$state"
exec 7>"$state/alive"
flock -n 7 || exit 1
sweep
: >"$state/log"
mkdir -m 700 "$run" && echo '{}' >"$run/daemon.json" && echo "$$" >"$state/supervisor" || exit 1
driver=$(driver)
trap finish TERM INT HUP

if [ "$mode" = private ]; then
    while read -r word; do
        case $word in
            start) start "$@" ;;
            kill) kill -9 "$engine" ;;
            stop) kill "$engine" ;;
        esac
        case $word in kill | stop)
            wait "$engine"
            engine=
            ;;
        esac
        echo "$word"
    done
    finish
fi

start "$@"
idle=0
while [ "$idle" -lt 20 ] && kill -0 "$engine" 2>/dev/null; do
    sleep 1
    if flock -n -x "$state/lease" true; then idle=$((idle + 1)); else idle=0; fi
    if [ "$idle" -eq 20 ]; then
        # Whoever starts or leases an engine holds this; afterwards there is none to be leased.
        exec 8>"$state/lock"
        flock -x 8
        flock -n -x "$state/lease" true || idle=0
        [ "$idle" -eq 20 ] || exec 8>&-
    fi
done
rm -f "$state/ready"
finish
