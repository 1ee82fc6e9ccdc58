#!/usr/bin/env python3
"""Writes a container image that holds airx's static program and nothing else, as a tar archive: an OCI image layout that
`docker load`, `podman load` and `ctr images import` take alike. It is for the init container of a pod, which puts the program
where a container of any image finds it (`airx place`). No engine is needed, and the same program gives the same bytes.

    runner-image.py --binary target/…/release/airx --image localhost/airx-runner-static:0.1.0 --out target/airx-runner-image.tar
"""

import argparse
import hashlib
import io
import json
import os
import struct
import sys
import tarfile

MACHINES = {0x3E: "amd64", 0xB7: "arm64"}  # e_machine of elf(5)
INTERPRETER = 3  # PT_INTERP: who loads a program that is not static
EPOCH = "1970-01-01T00:00:00Z"
USER = "10001:10001"


def architecture(program):
    """What the program runs on; an error when it needs anything but a kernel."""
    if program[:4] != b"\x7fELF" or program[4] != 2 or program[5] != 1:
        raise ValueError("it is no 64-bit program of Linux")
    machine = struct.unpack_from("<H", program, 18)[0]
    if machine not in MACHINES:
        raise ValueError(f"its machine ({machine}) has no name here")
    (start,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    if any(struct.unpack_from("<I", program, start + size * n)[0] == INTERPRETER for n in range(count)):
        raise ValueError("it is not static: an image without a C library cannot run it")
    return MACHINES[machine]


def entry(archive, name, content, mode):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), mode, 0
    archive.addfile(info, io.BytesIO(content))


def tar(files):
    """An archive of (name, content, mode), by nobody and at no time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, mode in files:
            entry(archive, name, content, mode)
    return buffer.getvalue()


def image(program, name):
    """The files of the layout."""
    blobs = {}

    def put(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def text(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    machine = architecture(program)
    layer = put(tar([("airx", program, 0o755)]), "application/vnd.oci.image.layer.v1.tar")
    config = {
        "architecture": machine,
        "os": "linux",
        "created": EPOCH,
        "config": {"Entrypoint": ["/airx"], "User": USER, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created": EPOCH, "created_by": "airx: make kube-runner-image"}],
    }
    config = put(text(config), "application/vnd.oci.image.config.v1+json")
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = put(
        text({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer]}), manifest_type
    )
    # The first is what the specification names, the second what containerd looks for before it.
    manifest["annotations"] = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
    manifest["platform"] = {"architecture": machine, "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}

    def place(blob):
        return "blobs/sha256/" + blob["digest"].removeprefix("sha256:")

    # For engines that know no layouts.
    saved = [{"Config": place(config), "RepoTags": [name], "Layers": [place(layer)]}]
    files = {"oci-layout": text({"imageLayoutVersion": "1.0.0"}), "index.json": text(index), "manifest.json": text(saved)}
    return [(path, content, 0o644) for path, content in [*sorted(blobs.items()), *sorted(files.items())]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--binary", "--image", "--out"):
        parser.add_argument(option, required=True)
    asked = parser.parse_args()
    # What names the image is the version, so that a pod never gets another one than its manager's by chance.
    if ":" not in asked.image.rsplit("/", 1)[-1]:
        sys.exit(f"runner-image: {asked.image} has no tag: write {asked.image}:VERSION")
    try:
        with open(asked.binary, "rb") as file:
            program = file.read()
        content = tar(image(program, asked.image))
        # Whole or not at all.
        with open(asked.out + ".new", "wb") as file:
            file.write(content)
        os.replace(asked.out + ".new", asked.out)
    except (OSError, ValueError, struct.error) as error:
        sys.exit(f"runner-image: {asked.binary} cannot be made into {asked.out}: {error}")
    print(f"{asked.out}: {asked.image}, {len(content) // 1024} KiB")


if __name__ == "__main__":
    main()
