#!/bin/bash
# cubit run -i and -t: our standard input goes to the program as it comes, our terminal becomes its terminal.
# timeout: 200
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
cubit=$CUBIT_BUILD/bin/cubit
unset CUBIT_KEY CUBIT_CA
need_images bash
start_daemon
export CUBIT_URL=unix:$sock

program() # TEXT
{
	printf '%s\n' "$1" >"$dir/program"
}
# shellcheck disable=SC2317 # by within
twice() # WORD: it is in the output two times
{
	[ "$(grep -c "$1" "$dir/out")" = 2 ]
}
run() # ARGUMENT...: -> $status, $dir/out, $dir/err; standard input is ours
{
	timeout 60 "$cubit" run "$@" >"$dir/out" 2>"$dir/err"
	status=$?
}

# shellcheck disable=SC2016 # programs are for the shell in the sandbox
{
	program 'while read -r l; do echo "got $l"; done; echo end; exit 3'
	mkfifo "$dir/fifo"
	"$cubit" run -i bash "$dir/program" --limit wall=30s <"$dir/fifo" >"$dir/out" 2>"$dir/err" &
	pid=$!
	exec 7>"$dir/fifo"
	echo one >&7
	within 10 grep -q 'got one' "$dir/out"
	ok $? 'a line arrives while input goes on'
	echo two >&7
	within 10 grep -q 'got two' "$dir/out"
	ok $? 'and the next one'
	exec 7>&-
	wait "$pid"
	is "$? $(tail -n 1 "$dir/out")" '3 end' 'its end arrives as well, and the status comes back'

	head -c 5000000 /dev/urandom >"$dir/large"
	program 'sleep 1; sha256sum'
	run -i bash "$dir/program" --limit wall=30s <"$dir/large"
	is "$status $(cat "$dir/out")" "0 $(sha256sum <"$dir/large")" '5 MB for a program that is slow to read arrive whole'
	run -i bash "$dir/program" --limit wall=30s </dev/null
	is "$status $(cat "$dir/out")" "0 $(sha256sum </dev/null)" 'no input is an end'
	program 'head -c 2'
	run -i bash "$dir/program" --limit wall=30s < <(yes)
	is "$status $(cat "$dir/out")$(cat "$dir/err")" '0 y' 'a program that reads less than there is ends well, without a word'
	run -i bash - <"$dir/program"
	is "$status" 2 'standard input cannot be program and input'
	run -i bash "$dir/program" --stdin - </dev/null
	is "$status" 2 'nor both kinds of input'

	# a front that dies under it
	program 'echo ready; while read -r l; do echo "got $l"; done; echo end'
	"$cubit" run -i bash "$dir/program" --limit wall=30s <"$dir/fifo" >"$dir/out" 2>"$dir/err" &
	pid=$!
	exec 7>"$dir/fifo"
	echo one >&7
	within 10 grep -q 'got one' "$dir/out"
	kill -KILL "$(pgrep -P "$daemon" -f -- --front)"
	within 10 grep -q 'may be lost' "$dir/err"
	ok $? 'a connection that breaks off is said: input may be lost'
	within 10 twice ready # it is run again
	echo two >&7
	exec 7>&-
	wait "$pid"
	is "$? $(tr '\n' ' ' <"$dir/out")" '0 ready got one ready got two end ' 'and it goes on with the next connection'

	# a connection that dies under it, while the program says nothing
	python3 "$(dirname "$0")/../lib/relay.py" "$dir/relay.log" plain 127.0.0.1 "${url##*:}" >"$dir/relay.port" &
	relay=$!
	background+=("$relay")
	within 10 test -s "$dir/relay.port"
	"$cubit" run -i bash "$dir/program" --limit wall=30s --url "http://127.0.0.1:$(cat "$dir/relay.port")" --key "$key" \
		<"$dir/fifo" >"$dir/out" 2>"$dir/err" &
	pid=$!
	exec 7>"$dir/fifo"
	echo one >&7
	within 10 grep -q 'got one' "$dir/out"
	for _ in 1 2 3; do
		kill -USR1 "$relay"
		sleep 0.6
	done
	echo two >&7
	exec 7>&-
	wait "$pid"
	is "$? $(tr '\n' ' ' <"$dir/out")" '0 ready got one got two end ' 'input goes on over the connection after it'
	like "$("$cubit" job ls --limit 1 --json)" '"attempt": *1' 'to the same program'

	# cancelled
	program 'echo ready; sleep 30'
	"$cubit" run -i bash "$dir/program" --limit wall=30s <"$dir/fifo" >"$dir/out" 2>"$dir/err" &
	pid=$!
	exec 7>"$dir/fifo"
	within 10 grep -q ready "$dir/out"
	kill -TERM "$pid"
	wait "$pid"
	is "$?" 143 'SIGTERM cancels it'
	exec 7>&-

	# a terminal
	program 'stty size; read -r x; echo "got $x"; trap "stty size; exit 5" WINCH; echo waiting; while :; do sleep 0.1; done'
	cp "$dir/program" "$dir/sizes"
	program 'echo ready; read -r x'
}
python3 - "$cubit" "$dir/sizes" "$dir/program" >"$dir/terminal" 2>&1 <<'END'
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

cubit, sizes, program = sys.argv[1:]


def size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def start(file, *more):
    pid, fd = pty.fork()
    if pid == 0:
        time.sleep(0.3)
        os.execv(cubit, [cubit, "run", "-i", "-t", "bash", file, "--limit", "wall=30s", *more])
    size(fd, 33, 91)
    return pid, fd


def until(fd, word, seconds=20):
    text, end = b"", time.monotonic() + seconds
    while word not in text and time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                text += os.read(fd, 65536)
            except OSError:
                break
    return text


def is_cooked(fd):
    return bool(termios.tcgetattr(fd)[3] & termios.ICANON)


pid, fd = start(sizes)
print("size", b"33 91" in until(fd, b"33 91"))
print("raw", not is_cooked(fd))
os.write(fd, b"hello\r")
print("line", b"got hello" in until(fd, b"waiting"))
size(fd, 40, 120)
print("resized", b"40 120" in until(fd, b"40 120"))
print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print("cooked", is_cooked(fd))
os.close(fd)

pid, fd = start(program)
until(fd, b"ready")
os.write(fd, b"\x03")
print("interrupt", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print("cooked", is_cooked(fd))
os.close(fd)

pid, fd = start(program)
until(fd, b"ready")
os.kill(pid, signal.SIGTERM)
print("terminated", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print("cooked", is_cooked(fd))
END
while read -r name want title; do
	is "$(grep -m 1 "^$name " "$dir/terminal")" "$name $want" "$title"
done <<-'END'
	size True the terminal inside is as large as ours
	raw True ours hands over every key
	line True a line that is typed arrives
	resized True a size that changes arrives
	status 5 the status comes back
	interrupt 130 Ctrl-C is for the program
	terminated 143 SIGTERM cancels it
END
is "$(grep -c '^cooked True' "$dir/terminal")" 3 'our terminal is as before after each' || diag "$(cat "$dir/terminal")"
stop_daemon
done_testing
