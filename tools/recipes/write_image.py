#!/usr/bin/env python3
"""Writes the configuration and manifest of an image into an OCI layout, names it in index.json, and prints its sizes.

usage: write_image.py --name REFERENCE --title WORD --version TEXT --epoch SECONDS --command TEXT --seconds TEXT
                      LAYOUT LAYER...

LAYER is what pack_layer.py printed, lowest first. An image of the same name is replaced in the index; its blobs stay.
"""
import argparse
import hashlib
import json
import os
import platform
import time

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def replace(path, data):
    temporary = f"{path}.tmp"
    with open(temporary, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.rename(temporary, path)


def encode(value):
    """One spelling of a document, so that the same image has the same digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def put_blob(layout, media, value):
    data = encode(value)
    digest = hashlib.sha256(data).hexdigest()
    replace(os.path.join(layout, "blobs", "sha256", digest), data)
    return {"mediaType": media, "digest": "sha256:" + digest, "size": len(data)}


def config_of(args, layers, created):
    return {
        "created": created,
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "User": "1000:1000",
            "Env": [f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/work"],
            "Cmd": args.command.split(),
            "WorkingDir": "/work",
            "Labels": {"org.opencontainers.image.title": args.title, "org.opencontainers.image.version": args.version,
                       "io.cubit.release": args.release},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
        "history": [{"created": created, "created_by": f"mkimage {what}"}
                    for what in ["base", args.title][:len(layers)]],
    }


def update_index(layout, name, release, manifest):
    path = os.path.join(layout, "index.json")
    key = "org.opencontainers.image.ref.name"
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            index = json.load(f)
    index["manifests"] = [m for m in index["manifests"] if m.get("annotations", {}).get(key) != name]
    index["manifests"].append({**manifest, "annotations": {key: name, "io.cubit.release": release}})
    index["manifests"].sort(key=lambda m: m.get("annotations", {}).get(key, ""))
    replace(os.path.join(layout, "oci-layout"), encode({"imageLayoutVersion": "1.0.0"}))
    replace(path, json.dumps(index, sort_keys=True, indent=1).encode() + b"\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("name", "title", "version", "release", "command", "seconds"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("layout")
    parser.add_argument("layer", nargs="+", type=json.loads)
    args = parser.parse_args()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(args.epoch))
    config = put_blob(args.layout, "application/vnd.oci.image.config.v1+json", config_of(args, args.layer, created))
    layers = [{k: layer[k] for k in ("mediaType", "digest", "size")} for layer in args.layer]
    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = put_blob(args.layout, media, {"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers})
    update_index(args.layout, args.name, args.release, manifest)
    for layer in args.layer:
        print(f"mkimage: {args.title}: layer {layer['diff_id'][7:19]} {layer['tar_size'] / 1e6:.1f} MB, "
              f"{layer['entries']} entries, {layer['size'] / 1e6:.1f} MB stored")
    print(f"mkimage: {args.title}: {args.name} version {args.version} of {args.release}, "
          f"{sum(layer['size'] for layer in args.layer) / 1e6:.1f} MB, made in {args.seconds} s")


if __name__ == "__main__":
    main()
