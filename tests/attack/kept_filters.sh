#!/bin/bash
# Filters that cubit-sandbox keeps beside its claims. Who can put a file there that is used could lift a policy: a file of
# another owner, one that others may write, one with a second name, a link, one with changed bytes and the filter of
# another profile are as if there were none. Each is made so that it would show: it lets through what the policy refuses.
# timeout: 120
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh
command -v python3 >/dev/null || skip_all 'needs python3'

kept=$run_dir/filters
rule='{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["getppid"],"action":"SCMP_ACT_ERRNO","errnoRet":77}]}'
echo "$rule" >"$dir/refuse.json"
echo "${rule/getppid/vhangup}" >"$dir/allow.json"
number=110 # getppid
[ "$(uname -m)" = x86_64 ] || number=173

try() # POLICY
{
	run --policy "$dir/$1.json" -- /bin/payload syscall "$number"
	output
}
refused=EBADFD # errno 77

like "$(try refuse)" "$refused" 'the policy refuses the call'
is "$(find "$kept" -type f | wc -l)" 1 '... and its filter is kept'
good=$(find "$kept" -type f)
is "$(stat -c '%u %a %h' "$good") $(stat -c '%u %a' "$kept")" '0 600 1 0 700' '... for root alone, in a directory for root alone'
before=$(stat -c %i "$good")
like "$(try refuse)" "$refused" 'the one that was kept refuses it as well'
is "$(stat -c %i "$good")" "$before" '... and is not written again'
like "$(try allow)" DONE 'another policy lets it through'
other=$(find "$kept" -type f ! -samefile "$good")
cp "$good" "$dir/good"

# The head and the text of one, the program of the other, and a checksum that is right.
python3 - "$dir/good" "$other" "$dir/forged" <<'P'
import struct, sys
good, other = (open(p, "rb").read() for p in sys.argv[1:3])
HEAD, COUNT, SUM = 56, 44, 48
number = lambda d, at: struct.unpack_from("<I", d, at)[0]
def mix(h, data):
    h ^= len(data)
    for i in range(0, len(data), 8):
        h = (h ^ int.from_bytes(data[i:i + 8], "little")) * 0x9E3779B97F4A7C15 % 2**64
        h ^= h >> 32
    return h
head = bytearray(good[:HEAD])
head[COUNT:COUNT + 4] = other[COUNT:COUNT + 4]
head[SUM:] = bytes(8)
rest = good[HEAD:HEAD + number(good, 36)] + other[HEAD + number(other, 36):]
head[SUM:] = mix(mix(0, head), rest).to_bytes(8, "little")
open(sys.argv[3], "wb").write(head + rest)
P

put() # FILE: as root would have written it
{
	rm -rf "$good"
	install -m 600 "$1" "$good"
}

put "$dir/forged"
like "$(try refuse)" DONE 'the forged one shows: with the rights of root it is used'

# usage: never WHAT: what was prepared is not used, and is replaced by a good one
never()
{
	like "$(try refuse)" "$refused" "$1: not used"
	is "$(stat -c '%F %u %a %h' "$good")" 'regular file 0 600 1' '... and replaced'
	cmp -s "$good" "$dir/good"
	ok $? '... by what compiling gives'
}

put "$dir/forged" && chown 1000 "$good"
never 'a file of another owner'
for mode in 620 602 666 4622; do
	put "$dir/forged" && chmod "$mode" "$good"
	never "a file of mode $mode"
done
put "$dir/forged" && ln "$good" "$dir/second"
never 'a file with a second name'
rm -f "$good" && ln -s "$dir/forged" "$good"
never 'a link to a file'
rm -f "$good" && mkfifo "$good"
never 'a fifo, which is not waited for'
rm -f "$good" && cp "$other" "$good" && chmod 600 "$good"
never 'the whole file of another profile'
size=$(stat -c %s "$dir/good")
for at in 0 8 16 24 32 36 40 44 48 60 $((size - 20)) $((size - 4)); do
	put "$dir/good"
	printf '\x5a' | dd of="$good" bs=1 seek="$at" conv=notrunc status=none
	never "byte $at of $size changed"
done
put "$dir/good" && truncate -s -8 "$good"
never 'a file that ends earlier'
put "$dir/good" && truncate -s +8 "$good"
never 'a file that goes on'
: >"$dir/empty" && put "$dir/empty"
never 'an empty file'

# ---- a directory that others may write ----

put "$dir/forged" && chmod 770 "$kept"
like "$(try refuse)" "$refused" 'a directory that its group may write: nothing of it is used'
cmp -s "$good" "$dir/forged"
ok $? '... and nothing is written there'
chmod 700 "$kept" && chown 1000 "$kept"
like "$(try refuse)" "$refused" 'a directory of another owner: nothing of it is used'
chown 0 "$kept" && mv "$kept" "$dir/elsewhere" && ln -s "$dir/elsewhere" "$kept"
like "$(try refuse)" "$refused" 'a link to a directory: nothing of it is used'
rm "$kept" && mv "$dir/elsewhere" "$kept"
chmod 777 "$run_dir"
like "$(try refuse)" "$refused" 'a directory below one that others may write: nothing of it is used'
chmod 700 "$run_dir"
like "$(try refuse)" DONE 'as it was, the forged one is used again'

# ---- bounded ----

rm -f "$kept"/*
for i in {1..70}; do
	: >"$kept/$i"
done
like "$(try refuse)" "$refused" 'seventy files are there'
is "$(find "$kept" -mindepth 1 | wc -l)" 1 '... and were removed before the next was written'

nothing_left 'nothing is left'
done_testing
