#!/bin/bash
# make bench: our timings beside those of whatever peers are installed, interleaved in one run. Raw samples stay in
# build/bench/*.csv. Never part of make test: a slow machine is no defect.
set -eu
cd "$(dirname "$0")/.."
build=${CUBIT_BUILD:-build}
out=$build/bench
rounds=${ROUNDS:-200}
mkdir -p "$out"

rootfs=$out/rootfs
mkdir -p "$rootfs"/{bin,proc,dev,tmp,sys,etc,work}
cp "$build/tests/payload" "$rootfs/bin/payload"

# One OCI bundle for crun and runc: the same root file system, the same rules of the default profile.
bundle=$out/bundle
mkdir -p "$bundle"
if command -v runc >/dev/null; then
	rm -f "$bundle/config.json"
	runc spec --bundle "$bundle"
	python3 - "$bundle/config.json" policies/profiles/default.json "$(realpath "$rootfs")" <<'P'
import json, sys
path, profile, rootfs = sys.argv[1:]
config, p = json.load(open(path)), json.load(open(profile))
# What a program that obeys the rules can tell apart, in words libseccomp's plain interface takes: for a call with
# conditions their allowed cases, for one that is allowed but for some cases the allowance.
plain, cases = {}, {}
for r in p["syscalls"]:
    if r.get("includes", {}).get("caps"):
        continue
    for name in r["names"]:
        (cases if r.get("args") else plain).setdefault(name, []).append(r)
rules = []
for name in {**plain, **cases}:
    allowed = [r for r in plain.get(name, []) + cases.get(name, []) if r["action"] == "SCMP_ACT_ALLOW"]
    if any(not r.get("args") for r in allowed):
        rules.append({"names": [name], "action": "SCMP_ACT_ALLOW"})
    elif allowed:
        rules += [{"names": [name], "action": "SCMP_ACT_ALLOW", "args": r["args"]} for r in allowed]
    elif name in plain and plain[name][0].get("errnoRet") != p.get("defaultErrnoRet"):
        rules.append({"names": [name], "action": plain[name][0]["action"], "errnoRet": plain[name][0].get("errnoRet", 1)})
default = {k: p[k] for k in ("defaultAction", "defaultErrnoRet") if k in p}
config["root"] = {"path": rootfs, "readonly": True}
config["process"].update(terminal=False, args=["/bin/payload", "true"], user={"uid": 1000, "gid": 1000})
config["linux"]["seccomp"] = {**default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules}
json.dump(config, open(path, "w"))
P
fi

echo "# $(uname -sr), $(nproc) cpus, $rounds rounds, load $(cut -d' ' -f1 /proc/loadavg)"
"$build/tests/bench/cold" "$rounds" "$out/cold.csv" "$(realpath "$rootfs")" "$(realpath "$bundle")"

# System calls of one sandbox, everybody's counted: the difference of 11 and 1, divided by 10.
if command -v strace >/dev/null; then
	run=$(mktemp -d)
	trap 'rm -rf "$run"' EXIT
	count() {
		strace -f -c -o "$run/count" "$build/bin/cubit-sandbox" --run-dir "$run/claims" --rootfs "$rootfs" --pooled-net \
			--repeat "$1" -- /bin/payload true >/dev/null 2>&1
		awk '$NF == "total" { print $(NF - 1) == "total" ? $(NF - 2) : $4 }' "$run/count" | tail -n 1
	}
	one=$(count 1) eleven=$(count 11)
	echo "# system calls per sandbox (parent, cubit-init and payload together): $(((eleven - one) / 10))"
	if command -v bwrap >/dev/null; then
		strace -f -c -o "$run/count" bwrap --unshare-all --ro-bind "$rootfs" / --proc /proc --dev /dev --tmpfs /tmp \
			/bin/payload true
		echo "# the same for bwrap: $(awk '$NF == "total" { print $4 }' "$run/count")"
	fi
fi
echo "# raw samples: $out/cold.csv"

CUBIT_BUILD=$(realpath "$build") tests/bench/api.sh

CUBIT_BUILD=$(realpath "$build") tests/bench/redis.sh

CUBIT_BUILD=$build tests/bench/unpack.sh "${UNPACK_ROUNDS:-3}"
