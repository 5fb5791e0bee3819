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

# Two OCI bundles for crun and runc on that root file system. "Same rules": their usual namespaces, no limits, and the rules
# of the default profile in words that libseccomp's plain interface takes. "Equal isolation": also a user and a cgroup
# namespace, limits of memory, processes and cpu like ours, and the program that the default profile means.
bundle=$out/bundle equal=$out/bundle-equal
mkdir -p "$bundle" "$equal"
if command -v runc >/dev/null; then
	rm -f "$bundle/config.json"
	runc spec --bundle "$bundle"
	"$build/bin/cubit" policy oci default >"$equal/seccomp.json"
	python3 - "$bundle" "$equal" policies/profiles/default.json "$(realpath "$rootfs")" <<'P'
import copy, json, sys
bundle, equal, profile, rootfs = sys.argv[1:]
config, p = json.load(open(f"{bundle}/config.json")), json.load(open(profile))
# What a program that obeys the rules can tell apart: for a call with conditions their allowed cases, for one that is
# allowed but for some cases the allowance.
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
json.dump(config, open(f"{bundle}/config.json", "w"))

config = copy.deepcopy(config)
ids = [{"containerID": 0, "hostID": 0x6e000000, "size": 65536}]
config["process"]["capabilities"] = {k: [] for k in config["process"].get("capabilities", {})}
linux = config["linux"]
have = {n["type"] for n in linux["namespaces"]}
linux["namespaces"] += [{"type": t} for t in ("user", "cgroup") if t not in have]
linux.update(uidMappings=ids, gidMappings=ids, seccomp=json.load(open(f"{equal}/seccomp.json")),
             resources={"memory": {"limit": 256 << 20}, "pids": {"limit": 65}, "cpu": {"quota": 100000, "period": 100000}})
json.dump(config, open(f"{equal}/config.json", "w"))
P
fi

echo "# $(uname -sr), $(nproc) cpus, $rounds rounds, load $(cut -d' ' -f1 /proc/loadavg)"
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
"$build/tests/bench/cold" "$rounds" "$out/cold.csv" "$run/claims" "$(realpath "$rootfs")" "$(realpath "$bundle")" \
	"$(realpath "$equal")" "$build/bin/cubit-sandbox"
for peer in nsjail minijail0 isolate; do
	if ! command -v "$peer" >/dev/null && ! apt-cache show "$peer" >/dev/null 2>&1; then
		echo "# $peer: the archive of this Debian does not have it"
	fi
done

"$build/tests/bench/idle" "${IDLE_ROUNDS:-30}" "$run/claims-idle" "$(realpath "$rootfs")" "${IDLE_MOST:-1000}"

# System calls of one sandbox, everybody's counted: the difference of 11 and 1, divided by 10.
if command -v strace >/dev/null; then
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
