#!/bin/bash
# `cubit runtime`: definitions are listed, shown and tested in real sandboxes, bad ones are refused by their field, and what
# a language fails at is said. The language here is the shell of a static busybox, so that no image is needed.
# timeout: 240
# where: host
set -u
. tests/lib/sandbox.sh

cubit=$build/bin/cubit
busybox=$(command -v busybox) || skip_all 'no busybox'
export CUBIT_STATE=$dir/state CUBIT_RUN=$run_dir CUBIT_ID_BASE=$id_base
mkdir -p "$CUBIT_STATE/runtimes"
install -m 755 "$busybox" "$rootfs/bin/busybox"
for applet in sh cp cat; do
	ln -sf busybox "$rootfs/bin/$applet"
done

pids=()
# cubit_runtime ARGUMENT...: run it; $status, $dir/out, $dir/err
cubit_runtime()
{
	"$cubit" runtime "$@" >"$dir/out" 2>"$dir/err" </dev/null &
	pids+=("$!")
	wait "$!"
	status=$?
}

out() { cat "$dir/out"; }
err() { cat "$dir/err"; }

# A definition: NAME, then any KEY=JSON to put instead of what is there. The program is compiled by copying it.
define()
{
	python3 - "$@" <<'END'
import json, sys
d = {"name": sys.argv[1], "aliases": [sys.argv[1] + "-too"], "image": "localhost/" + sys.argv[1], "file": "main.sh",
     "version_command": ["busybox", "sh", "-c", "busybox | head -n 1"],
     "compile": {"argv": ["cp", "{file}", "{out}"], "env": {"STAGE": "compile"}},
     "run": {"argv": ["sh", "{out}", "{args...}"], "env": {"STAGE": "run"}, "limits": {"memory": "64M"}},
     "test": {"hello": "echo hello from $STAGE\n", "stdout": "hello from run\n", "endless": "while :; do :; done\n",
              "hog": "x=xxxxxxxxxxxxxxxx\nwhile :; do x=$x$x; done\n"}}
for change in sys.argv[2:]:
    path, value = change.split("=", 1)
    *way, last = path.split(".")
    at = d
    for step in way:
        at = at[step]
    at[last] = json.loads(value)
json.dump(d, sys.stdout)
END
}

# ---- ls and show ----

cubit_runtime ls
is "$status" 0 'runtimes are listed'
like "$(out)" $'\n''python +py,python3 +localhost/python:latest +no +builtin python' 'with name, aliases, image, and that it is not there'
[ ! -e "$CUBIT_STATE/images" ]
ok $? 'looking for images makes no store'
cubit_runtime ls --json
is "$(python3 -c 'import json, sys; d = json.load(sys.stdin); print(len(d["runtimes"]), d["problems"], d["runtimes"][0]["present"])' \
	<"$dir/out")" '13 [] False' 'the same as JSON'
cubit_runtime show c++
cmp -s "$dir/out" images/runtimes/cpp.json
ok $? 'show prints the definition as it was written, also by an alias'
cubit_runtime show cobol
is "$status $(err)" "1 cubit runtime: no runtime 'cobol'; 'cubit runtime ls' lists them" 'a language that is not there'

while IFS='|' read -r arguments message; do
	# shellcheck disable=SC2086 # a list of words
	cubit_runtime $arguments
	is "$status $(err)" "2 $message" "refused: cubit runtime $arguments"
done <<'END'
|cubit runtime: a command is missing: ls, show or test; try 'cubit runtime --help'
list|cubit runtime: there are ls, show and test; try 'cubit runtime --help'
ls python|cubit runtime ls: takes no name and only --json; try 'cubit runtime --help'
show|cubit runtime show: takes one name; try 'cubit runtime --help'
test|cubit runtime test: name the runtimes, or --all; try 'cubit runtime --help'
test --all python|cubit runtime test: name the runtimes, or --all; try 'cubit runtime --help'
test --fast python|cubit runtime: unknown option '--fast'; try 'cubit runtime --help'
test python --rootfs|cubit runtime: no directory after '--rootfs'; try 'cubit runtime --help'
END

# ---- a definition that is right ----

define shell >"$dir/shell.json"
cubit_runtime test "$dir/shell.json" --rootfs "$rootfs"
is "$status" 0 'a language that does everything right passes' || diag "$(out) $(err)"
like "$(out)" 'shell +[0-9]+\.[0-9.]+ +ok +[0-9]+\.[0-9] +[0-9]+\.[0-9] +hold' 'with version, times, and limits that hold'
cubit_runtime test --json --rootfs "$rootfs" "$dir/shell.json"
is "$(python3 -c 'import json, sys
r, = json.load(sys.stdin)["results"]
print(r["name"], r["ok"], r["hello"], r["time_limit"], r["memory_limit"], r["problem"], r["compile_ms"] > 0, r["run_ms"] > 0)' \
	<"$dir/out")" 'shell True True True True None True True' 'the same as JSON'

cp "$dir/shell.json" "$CUBIT_STATE/runtimes/"
cubit_runtime ls
like "$(out)" "shell +shell-too +localhost/shell:latest +no +$CUBIT_STATE/runtimes/shell.json" 'a file dropped into the state directory is a runtime'
cubit_runtime test shell-too --rootfs "$rootfs"
is "$status" 0 'and is tested by its alias'
cubit_runtime test shell
is "$status" 3 'a missing image has an exit status of its own'
like "$(out)" "image 'localhost/shell:latest' is missing: tools/mkimage shell" 'and the way to make it'
define shell 'image="docker.io/library/busybox:1"' >"$dir/pulled.json"
cubit_runtime test "$dir/pulled.json"
like "$(out)" "image 'docker.io/library/busybox:1' is missing: cubit image pull docker.io/library/busybox:1" 'or to pull it'

# ---- definitions that do not hold what they promise ----

while IFS='|' read -r change message; do
	define shell "$change" >"$dir/shell.json"
	cubit_runtime test --rootfs "$rootfs" "$dir/shell.json"
	is "$status" 1 "fails: $change"
	like "$(out)" "$message" "saying: $message"
done <<'END'
version_command=["sh","-c","exit 4"]|version_command: runtime_error, .*status 4
test.stdout="goodbye\n"|hello: ok; +hello from run
test.hello="exit 3\n"|hello: runtime_error, .*status 3
compile.argv=["cat","{file}","nowhere"]|hello does not compile: runtime_error.*nowhere
run.argv=["nowhere","{file}"]|hello: runtime_error, execute the program: No such file
test.endless="exit 0\n"|endless does not end as time_limit: ok.*
test.hog="exit 0\n"|hog does not end as memory_limit: ok.*
END

# ---- definitions that cannot be read ----

define shell run.shell=1 >"$CUBIT_STATE/runtimes/shell.json"
cubit_runtime ls
is "$status" 1 'a bad definition makes ls fail'
is "$(err)" "cubit runtime: $CUBIT_STATE/runtimes/shell.json: run.shell: unknown field" 'naming the file and the field'
like "$(out)" 'python ' 'and the others are listed all the same'
cubit_runtime test shell --rootfs "$rootfs"
is "$status" 1 'it cannot be run'
cubit_runtime test "$CUBIT_STATE/runtimes/shell.json" --rootfs "$rootfs"
is "$status $(err)" "1 cubit runtime: $CUBIT_STATE/runtimes/shell.json: run.shell: unknown field" 'nor tested by its path'

# ---- nothing stays ----

ours=$(IFS='|' && echo "${pids[*]}") # groups have our process in their name; others may test beside us
is "$(find /sys/fs/cgroup -maxdepth 7 -type d -name 'cubit-runtime-test-*' 2>/dev/null | grep -E "/cubit-runtime-test-($ours)-")" '' \
	'no control group is left'
is "$(own_processes)" '' 'no process is left'
is "$(find "$run_dir/ids" -type l 2>/dev/null)" '' 'no claim on ids is left'
done_testing
