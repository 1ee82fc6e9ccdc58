#!/bin/sh
# Builds the images of the tests from what this machine has, as tar files: images.sh DIRECTORY
#   busybox.tar  for `docker import`: busybox with its applets as links, root and a user `task` (1000)
#   tools.tar    for `docker import`: the same with bash and git, and the libraries that they need
#   foreign.tar  for `docker load`: the first as an image of another architecture
# What is there already and not older than the programs in it stays.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$1"
cd "$1"
umask 022
path=/usr/local/bin:/usr/bin:/bin

fresh() {
    [ -e foreign.tar ] || return 1
    for source in "$here/images.sh" /bin/busybox "$(command -v bash)" "$(command -v git)"; do
        if [ "$source" -nt foreign.tar ]; then return 1; fi
    done
}
if fresh; then exit 0; fi

pack() { tar --create --file "$2" --directory "$1" --numeric-owner --sort=name --mtime=@0 .; }

# A program with its loader and shared libraries, each where it is here.
take() {
    for file in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "tree$(dirname "$file")"
        cp -L "$file" "tree$file"
    done
}

rm -rf tree
mkdir -p tree/bin tree/usr/bin tree/etc tree/root tree/home/task tree/var tree/tmp
chown 1000:1000 tree/home/task
chmod 1777 tree/tmp
take /bin/busybox
for applet in $(/bin/busybox --list); do
    case $applet in busybox) ;; *) ln -s busybox "tree/bin/$applet" ;; esac
done
ln -s ../../bin/env tree/usr/bin/env
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'task:x:1000:1000:task:/home/task:/bin/sh' >tree/etc/passwd
printf '%s\n' 'root:x:0:' 'task:x:1000:' >tree/etc/group
pack tree busybox.tar

take "$(command -v bash)"
take "$(command -v git)"
[ -e tree/bin/bash ] || ln -s "$(command -v bash)" tree/bin/bash
[ -e tree/usr/bin/git ] || ln -s "$(command -v git)" tree/usr/bin/git
core=$(git --exec-path)
mkdir -p "tree$core"
for command in "$core"/*; do
    # Most of git's commands are links to the one program; those that are programs of their own reach networks.
    if [ -L "$command" ]; then cp -P "$command" "tree$core/"; fi
done
ln -sf "$(command -v git)" "tree$core/git"
pack tree tools.tar
rm -rf tree

# Written by hand, since `docker import` of this engine knows its own architecture only.
mkdir tree
ln busybox.tar tree/layer.tar
printf '{"architecture":"arm64","os":"linux","config":{"Env":["PATH=%s"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$path" "$(sha256sum <busybox.tar | cut -d' ' -f1)" >tree/config.json
printf '[{"Config":"config.json","RepoTags":["airx-test/foreign:latest"],"Layers":["layer.tar"]}]' >tree/manifest.json
pack tree foreign.part
rm -rf tree
mv foreign.part foreign.tar
