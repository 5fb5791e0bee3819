#!/bin/bash
# C and C++ under the sanitizers of GCC and the policy `default`: a program without a fault ends well, and a fault is found.
# LeakSanitizer alone finds nothing: it would have to trace its own process, which no sandbox may.
# timeout: 400
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images c

export CUBIT_RUNTIMES=$dir/languages
mkdir -p "$CUBIT_RUNTIMES"
for sanitizer in address undefined leak thread; do
	for language in c cpp; do
		python3 - "$CUBIT_SRC/images/runtimes/$language.json" "$CUBIT_RUNTIMES" "$language-$sanitizer" "$sanitizer" <<'P'
import json, sys
source, to, name, sanitizer = sys.argv[1:]
d = json.load(open(source))
d.update(name=name, aliases=[])
d["compile"]["argv"][1:1] = ["-g", "-fsanitize=" + sanitizer, "-pthread"]
json.dump(d, open(f"{to}/{name}.json", "w"))
P
	done
done
start_daemon

declare -A fault=(
	[address]='char *volatile p = (char *)malloc(8); p[8] = (char)argc; printf("%d\n", p[8]); free(p);'
	[undefined]='int i = 2147483647; i += argc; printf("%d\n", i);'
	[thread]='pthread_t a, b; pthread_create(&a, 0, count, 0); pthread_create(&b, 0, count, 0); pthread_join(a, 0); pthread_join(b, 0);'
)
declare -A says=(
	[address]='AddressSanitizer: heap-buffer-overflow'
	[undefined]='signed integer overflow'
	[thread]='ThreadSanitizer: data race'
)

program() # STATEMENTS
{
	printf '%s\n' '#include <pthread.h>' '#include <stdio.h>' '#include <stdlib.h>' 'int n;' \
		'void *count(void *a) { n++; return a; }' "int main(int argc, char **argv) { (void)argv; (void)argc; $1 puts(\"done\"); return 0; }"
}

run_as() # LANGUAGE STATEMENTS
{
	api /v1/run -d "{\"runtime\":\"$1\",\"source\":$(program "$2" | json),\"policy\":\"default\",\"limits\":{\"memory\":\"512M\"}}"
}

for language in c cpp; do
	for sanitizer in address undefined leak thread; do
		run_as "$language-$sanitizer" 'free(malloc(1)); malloc(3);'
		is "$(get status) $(get stdout) $(get stderr)" 'ok done ' "$language with $sanitizer: a program without a fault ends well"
		[ -n "${fault[$sanitizer]:-}" ] || continue
		run_as "$language-$sanitizer" "${fault[$sanitizer]}"
		like "$(get stderr)" "${says[$sanitizer]}" '... and a fault is found'
	done
done
stop_daemon
nothing_left 'nothing of it is left'
done_testing
