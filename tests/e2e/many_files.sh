#!/bin/bash
# Programs of several files, as people have them: every source is compiled, headers are found from the root, the main file
# may have any name and lie anywhere, Java's class may have any name and package.
#
# timeout: 900
# NEED: root
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

need_images bash c typescript java go
CUBIT_JOBS=2 RUN_TIMEOUT_MS=60000 start_daemon

# run LANGUAGE MAIN FILE=CONTENT... -> "status: stdout"; MAIN may be empty
run()
{
	api /v1/run -d "$(python3 -c 'import json, sys
o = {"runtime": sys.argv[1], "files": [dict(zip(("path", "content"), f.split("=", 1))) for f in sys.argv[3:]],
     "compile_limits": {"wall_ms": 60000, "cpu_ms": 60000}, "limits": {"wall_ms": 60000, "cpu_ms": 60000}}
if sys.argv[2]:
    o["main"] = sys.argv[2]
print(json.dumps(o))' "$@")"
	printf '%s: %s' "$(get status)" "$(get stdout)"
}
why() { diag "$body"; }

# ---- C and C++ ----

is "$(run c '' 'main.c=#include "util/add.h"
int main(void) { return add(40, 2) - 42; }' 'util/add.h=int add(int, int);' 'util/add.c=#include "util/add.h"
int add(int a, int b) { return a + b; }')" 'ok: ' 'C: a second source, a header from the root' || why
is "$(run c src/app.c 'lib.c=int answer(void) { return 42; }' 'src/app.c=#include <stdio.h>
int answer(void); int main(void) { printf("%d", answer()); return 0; }')" 'ok: 42' 'C: the main file is named' || why
is "$(run cpp '' 'shape.cc=#include "shape.hpp"
int Shape::area() const { return 6; }' 'shape.hpp=struct Shape { int area() const; };' 'app.cpp=#include <iostream>
#include "shape.hpp"
int main() { std::cout << Shape{}.area(); }')" 'ok: 6' 'C++: sources of both endings, no main.cpp' || why
is "$(run c '' 'main.c=int other(void); int main(void) { return other(); }' 'other.c=int other(void) { return }')" \
	'compile_error: ' 'C: an error in the second file is one of the compiler' || why
is "$(run c '' 'main.c=int other(void); int main(void) { return other(); }' '-x.c=int other(void) { return 0; }')" 'ok: ' \
	'a name that looks like an option is none' || why

# ---- Java ----

is "$(run java '' 'Main.java=public class Main { public static void main(String[] a) { System.out.print(Other.word()); } }' \
	'Other.java=class Other { static String word() { return "two files"; } }')" 'ok: two files' 'Java: two files' || why
is "$(run java '' 'src/org/example/App.java=package org.example;
import org.example.util.Words;
public class App { public static void main(String[] a) { System.out.print(Words.word()); } }' \
	'src/org/example/util/Words.java=package org.example.util;
public class Words { public static String word() { return "packages"; } }')" 'ok: packages' 'Java: packages' || why
is "$(run java '' 'A.java=public class A { static void helper() {} }' \
	'B.java=public class B { public static void main(String... a) { System.out.print("B"); } }')" 'ok: B' \
	'Java: the class with main is found' || why
is "$(run java B.java 'A.java=public class A { public static void main(String[] a) { System.out.print("A"); } }' \
	'B.java=public class B { public static void main(String[] a) { System.out.print("B"); } }')" 'ok: B' \
	'Java: of two, that of the main file' || why
api /v1/run -d '{"runtime":"java","source":"public class Solution {\n  public static void main(String[] a) { System.out.print(\"any name\"); }\n}","compile_limits":{"wall_ms":60000,"cpu_ms":60000}}'
is "$(get status) $(get stdout)" 'ok any name' 'Java: one source with a public class of any name' || why
is "$(run java '' 'Main.java=public class Main { }')" 'compile_error: ' 'Java: no main is an error of the compiler' || why

# ---- TypeScript ----

is "$(run typescript src/app.ts 'src/app.ts=import { word } from "./lib/word";
console.log(word());' 'src/lib/word.ts=export function word(): string { return "modules"; }')" $'ok: modules' \
	'TypeScript: any main file, modules' || why
api /v1/run -d '{"runtime":"typescript","main":"index.ts","source":"const n: number = 3; console.log(n);","compile_limits":{"wall_ms":60000,"cpu_ms":60000}}'
is "$(get status) $(get stdout)" 'ok 3' 'TypeScript: one source, called as main says' || why

# ---- Go ----

is "$(run go '' 'main.go=package main
import "fmt"
func main() { fmt.Print(word()) }' 'word.go=package main
func word() string { return "two files" }' 'word_test.go=package main
import "testing"
func TestWord(t *testing.T) {}')" 'ok: two files' 'Go: two files of one package' || why
is "$(run go cmd/app/main.go 'go.mod=module example.org/app
go 1.19' 'cmd/app/main.go=package main
import ("fmt"; "example.org/app/word")
func main() { fmt.Print(word.Word()) }' 'word/word.go=package word
func Word() string { return "a module" }')" 'ok: a module' 'Go: a module with packages' || why

# ---- files that do not fit: before anything has run ----

# LIMITS COUNT BYTES: a script beside so many files, each so long
crowd()
{
	python3 -c 'import json, sys
print(json.dumps({"runtime": "bash", "limits": json.loads(sys.argv[1]), "files": [{"path": "main.sh", "content": "ls d | wc -l"}] +
      [{"path": f"d/{i}", "content": "x" * int(sys.argv[3])} for i in range(int(sys.argv[2]))]}))' "$@" >"$dir/crowd.json"
	api /v1/run -d "@$dir/crowd.json"
	got="$(get status) $(get stdout)"
}
crowd '{"memory": "2M"}' 200 16000
is "$got" 'memory_limit ' 'many small ones in too little memory, written by pid 1' || why
crowd '{"memory": "2M"}' 1 3500000
is "$got" 'memory_limit ' 'one that is large, written by a helper' || why
crowd '{"disk": "256K"}' 200 100
is "$got" 'disk_limit ' 'on a disk that has room for what is in them, not for so many' || why
crowd '{"memory": "64M"}' 200 16000
is "$got" 'ok 200' 'with room for them all are there' || why

# ---- refusals ----

api /v1/run -d '{"runtime":"c","main":"nowhere.c","files":[{"path":"a.c","content":"int main(void){return 0;}"}]}'
is "$status" 400 'a main file that is not there is refused'
[[ $body == *'none of the files'* ]]; is $? 0 'in words'
api /v1/run -d '{"runtime":"c","main":"../x.c","source":"int main(void){return 0;}"}'
is "$status" 400 'so is a path out of the folder'
stop_daemon
done_testing
