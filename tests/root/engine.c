/*
 * Jobs from a request to a result, with a real monitor and real sandboxes: every verdict, both stages, files in and out,
 * standard input and terminals, limits, cancelling, the cache of what was compiled, and a front that dies.
 *
 * # timeout: 240
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/journal/journal.h"
#include "supervisor/pool/pool.h"
#include "supervisor/spec/spec.h"
#include "tests/support/works.h"
#include "tests/tap.h"

static struct works w;

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void show(const json_t *r)
{
	char *text = json_dumps(r, JSON_INDENT(1));

	diag("%s", text ? text : "nothing");
	free(text);
}

/* One program, and what has to come of it. */
struct row {
	const char *title, *request, *status, *out, *err;
	int exit_code;
};

static const struct row rows[] = {
	{ "a program runs", "{\"runtime\":\"sh\",\"source\":\"echo hi; echo oh >&2\"}", "ok", "hi\n", "oh\n", 0 },
	{ "its status", "{\"runtime\":\"sh\",\"source\":\"exit 3\"}", "runtime_error", "", "", 3 },
	{ "its arguments", "{\"runtime\":\"sh\",\"source\":\"echo $# $1\",\"args\":[\"a b\",\"c\"]}", "ok", "2 a b\n",
	  "", 0 },
	{ "its input", "{\"runtime\":\"sh\",\"source\":\"cat\",\"stdin\":\"from outside\"}", "ok", "from outside", "",
	  0 },
	{ "an input that is not read", "{\"runtime\":\"sh\",\"source\":\"echo done\",\"stdin\":\"x\"}", "ok", "done\n",
	  "", 0 },
	{ "its environment: image, request",
	  "{\"runtime\":\"sh\",\"source\":\"echo $MADE $MINE\",\"env\":{\"MINE\":\"too\"}}", "ok", "by hand too\n", "",
	  0 },
	{ "its files",
	  "{\"runtime\":\"sh\",\"files\":[{\"path\":\"main.sh\",\"content\":\"cat sub/dir/a; pwd\"},"
	  "{\"path\":\"sub/dir/a\",\"content\":\"AAA\\n\"}]}",
	  "ok", "AAA\n/work\n", "", 0 },
	{ "no input is the end of it", "{\"runtime\":\"sh\",\"source\":\"cat; echo end\"}", "ok", "end\n", "", 0 },
	{ "a signal", "{\"runtime\":\"sh\",\"source\":\"kill -SEGV $$\"}", "signaled", "", "", -1 },
	{ "wall time", "{\"runtime\":\"sh\",\"source\":\"echo a; sleep 9\",\"limits\":{\"wall_ms\":300}}", "time_limit",
	  "a\n", "", -1 },
	{ "cpu time",
	  "{\"runtime\":\"sh\",\"source\":\"while :; do :; done\",\"limits\":{\"wall_ms\":9000,\"cpu_ms\":200}}",
	  "time_limit", "", "", -1 },
	{ "memory", "{\"runtime\":\"sh\",\"source\":\"exec payload memory 200\"}", "memory_limit", NULL, "", -1 },
	{ "output", "{\"runtime\":\"sh\",\"source\":\"yes\",\"limits\":{\"output\":10}}", "output_limit",
	  "y\ny\ny\ny\ny\n", "", -1 },
	{ "output that just fits", "{\"runtime\":\"sh\",\"source\":\"echo 123456789\",\"limits\":{\"output\":10}}",
	  "ok", "123456789\n", "", 0 },
	{ "output over the limit of a program that has ended",
	  "{\"runtime\":\"sh\",\"source\":\"echo 12345678901\",\"limits\":{\"output\":10}}", "output_limit",
	  "1234567890", "", -2 },
	{ "processes",
	  "{\"runtime\":\"sh\",\"source\":\"for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; "
	  "wait\",\"limits\":{\"processes\":4}}",
	  "process_limit", "", NULL, -2 },
	{ "a refused process that the program copes with, at once",
	  "{\"runtime\":\"sh\",\"source\":\"exec payload fork-count\",\"limits\":{\"processes\":4}}", "ok",
	  "forked 3 then EAGAIN\n", "", 0 },
	{ "or for a while",
	  "{\"runtime\":\"sh\",\"source\":\"exec payload fork-count 400\",\"limits\":{\"processes\":4}}", "ok",
	  "forked 3 then EAGAIN\n", "", 0 },
	{ "one that it fails of, after a while",
	  "{\"runtime\":\"sh\",\"source\":\"exec payload fork-count 400 3\",\"limits\":{\"processes\":4}}",
	  "process_limit", "forked 3 then EAGAIN\n", "", 3 },
	{ "one that it does not give up about",
	  "{\"runtime\":\"sh\",\"source\":\"exec payload fork\",\"limits\":{\"processes\":4,\"wall_ms\":500}}",
	  "process_limit", "", "", -1 },
	{ "the disk",
	  "{\"runtime\":\"sh\",\"source\":\"dd if=/dev/zero of=big bs=1048576 count=80 "
	  "2>/dev/null\",\"limits\":{\"disk\":8388608}}",
	  "disk_limit", "", "", 1 },
	{ "the policy", "{\"runtime\":\"sh\",\"source\":\"exec payload x32 39\"}", "policy_violation", NULL, NULL, -2 },
	{ "a background process ends with it, and is not waited for",
	  "{\"runtime\":\"sh\",\"source\":\"sleep 30 & echo started\"}", "ok", "started\n", "", 0 },
	{ "two stages",
	  "{\"runtime\":\"copied\",\"source\":\"echo making $STAGE; echo '#!/bin/sh' >$1; echo 'echo $STAGE $*' >>$1; "
	  "chmod 755 $1\",\"args\":[\"x\"]}",
	  "ok", "run x\n", "", 0 },
	{ "a program that cannot be compiled", "{\"runtime\":\"copied\",\"source\":\"echo no >&2; exit 2\"}",
	  "compile_error", NULL, NULL, 2 },
	{ "a compiler that takes too long",
	  "{\"runtime\":\"copied\",\"source\":\"sleep 9\",\"compile_limits\":{\"wall_ms\":200}}", "compile_error", NULL,
	  NULL, -1 },
	{ "a compiler that makes nothing", "{\"runtime\":\"copied\",\"source\":\"true\"}", "compile_error", "", NULL,
	  -1 },
	{ "a compiler that makes what cannot be executed", "{\"runtime\":\"copied\",\"source\":\"echo text >$1\"}",
	  "compile_error", "", NULL, -1 },
	{ "a compiler that makes a directory", "{\"runtime\":\"copied\",\"source\":\"mkdir $1 # empty\"}",
	  "compile_error", "", NULL, -1 },
	{ "a compiler needs more than the policy of its program allows",
	  "{\"runtime\":\"copied\",\"policy\":\"strict\",\"source\":\"cp /bin/payload $1\",\"args\":[\"fork-count\"]}",
	  "ok", "forked 0 then EPERM\n", "", 0 },
	{ "a disk that is enough for the compiler, and not for the program",
	  "{\"runtime\":\"copied\",\"source\":\"dd if=/dev/zero of=big bs=1048576 count=8 && rm big && cp /bin/payload "
	  "$1\","
	  "\"args\":[\"disk\",\"/work/big\"],\"limits\":{\"disk\":\"4M\"},\"compile_limits\":{\"disk\":\"16M\"}}",
	  "disk_limit", NULL, NULL, 3 },
	{ "and the other way round",
	  "{\"runtime\":\"copied\",\"source\":\"dd if=/dev/zero of=big bs=1048576 count=8 && rm big && cp /bin/payload "
	  "$1\","
	  "\"args\":[\"true\"],\"limits\":{\"disk\":\"16M\"},\"compile_limits\":{\"disk\":\"4M\"}}",
	  "compile_error", NULL, NULL, -2 },

};

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		json_t *r = works_run(&w, row->request);
		const json_t *code = json_object_get(r, "exit_code");
		bool is_good = true;

		if (row->status)
			is_good = strcmp(text_of(r, "status"), row->status) == 0;
		if (row->out)
			is_good = is_good && strcmp(text_of(r, "stdout"), row->out) == 0;
		if (row->err)
			is_good = is_good && strcmp(text_of(r, "stderr"), row->err) == 0;
		if (row->exit_code == -1)
			is_good = is_good && json_is_null(code);
		else if (row->exit_code >= 0)
			is_good = is_good && json_integer_value(code) == row->exit_code;
		if (!ok(is_good, "%s: %s", row->title, row->status ? row->status : text_of(r, "status")))
			show(r);
		json_decref(r);
	}
}

/* ---- what a row cannot say ---- */

static void test_events(void)
{
	struct buf events = BUF_INIT;
	struct works_job j = { .events = &events };

	works_start(&w, &j,
		    "{\"runtime\":\"copied\",\"source\":\"echo making; echo '#!/bin/sh' >$1; echo 'echo made' >>$1; "
		    "chmod 755 $1\",\"env\":{\"N\":\"1\"}}");
	ok(job_journal(j.job) != NULL && strcmp(job_id(j.job), "") != 0 &&
		   engine_find_id(w.engine, NULL, job_id(j.job)) == j.job,
	   "a job has its journal from the first moment on, and is found");
	works_wait(&w, &j);
	has_str(buf_str(&events), "status:{\"state\":\"compiling\"}\nstdout:making\n",
		"events: the compiler and its output");
	has_str(buf_str(&events), "status:{\"state\":\"running\"}\nstdout:made\n", "then the run");
	has_str(buf_str(&events), "exit:{\"status\":\"ok\"", "the last one is the end with its verdict");
	works_job_done(&j);
}

static void test_artefacts(void)
{
	static const char request[] = "{\"runtime\":\"copied\",\"source\":\"echo COMPILED >&2; echo '#!/bin/sh' >$1; "
				      "echo 'echo made $1' >>$1; chmod 755 $1\",\"args\":[\"%s\"]}";
	char text[400];
	json_t *r;

	(void)snprintf(text, sizeof(text), request, "a");
	r = works_run(&w, text);
	ok(!json_is_true(json_object_get(json_object_get(r, "compile"), "cached")), "a first compilation");
	is_str(text_of(json_object_get(r, "compile"), "stderr"), "COMPILED\n", "has output of its own");
	is_str(text_of(r, "stdout"), "made a\n", "and makes a program");
	json_decref(r);
	(void)snprintf(text, sizeof(text), request, "b");
	r = works_run(&w, text);
	if (!ok(json_is_true(json_object_get(json_object_get(r, "compile"), "cached")),
		"the same source with other arguments is not compiled again"))
		show(r);
	is_str(text_of(r, "stdout"), "made b\n", "and runs");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"copied\",\"source\":\"mkdir -p $1/sub; echo A >$1/a; echo B >$1/sub/b\"}");
	is_str(text_of(r, "status"), "compile_error", "a directory is made (and cannot be run)");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"copied\",\"source\":\"mkdir -p $1/sub; echo A >$1/a; echo B >$1/sub/b\"}");
	ok(json_is_true(json_object_get(json_object_get(r, "compile"), "cached")), "a small tree is kept as well");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"copied\",\"source\":\"mkdir -p $1/sub; ln -s /etc/passwd $1/a\"}");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"copied\",\"source\":\"mkdir -p $1/sub; ln -s /etc/passwd $1/a\"}");
	ok(!json_is_true(json_object_get(json_object_get(r, "compile"), "cached")), "one with a link in it is not");
	json_decref(r);
}

static void test_outputs(void)
{
	json_t *r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"mkdir d; echo one >d/1.txt; echo no >d/2.bin; ln "
				  "-s /etc/hostname d/l.txt; "
				  "touch empty.txt\",\"outputs\":[\"**/*.txt\",\"*.txt\"]}");
	const json_t *o = json_object_get(r, "outputs");

	is_int(json_array_size(o), 3, "plain files that match are handed back, links are named");
	is_str(text_of(json_array_get(o, 0), "path"), "d/1.txt", "in order of their names");
	is_str(text_of(json_array_get(o, 0), "content"), "one\n", "with their content");
	is_int(number_of(json_array_get(o, 2), "size"), 0, "an empty one too");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"echo 0123456789 >a; echo 0123456789 >b; echo 1 "
			  ">c\",\"outputs\":[\"*\"],"
			  "\"limits\":{\"output\":16}}");
	o = json_object_get(r, "outputs");
	ok(json_is_true(json_object_get(r, "outputs_truncated")) && json_array_size(o) == 4 &&
		   strcmp(text_of(json_array_get(o, 0), "content"), "0123456789\n") == 0,
	   "what is more than the output limit is named, and not handed back");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"echo x >a; sleep "
			  "9\",\"outputs\":[\"*\"],\"limits\":{\"wall_ms\":200}}");
	is_int(json_array_size(json_object_get(r, "outputs")), 0, "of a program that was ended nothing is read");
	json_decref(r);
}

static const json_t *output_named(const json_t *outputs, const char *path)
{
	size_t i;
	json_t *o;

	json_array_foreach(outputs, i, o)
	{
		if (strcmp(text_of(o, "path"), path) == 0)
			return o;
	}
	return NULL;
}

/* Everything that a glob may name and that is not handed back: named, with its true size and the reason. */
static void test_left_out(void)
{
	static const struct {
		const char *path, *why;
		json_int_t size; /* -1: whatever it is */
	} left[] = {
		{ "big", "more than the 65536 bytes that are left of limits.output", 20 << 20 },
		{ "link", "a symbolic link", -1 },
		{ "dangling", "a symbolic link", -1 },
		{ "fifo", "neither a file nor a directory", 0 },
		{ "secret", "the program itself cannot read it: Permission denied", 5 },
		{ "closed", "a directory that the program itself cannot read", -1 },
		{ "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d",
		  "a directory too deep to be looked into", -1 },
	};
	json_t *r = works_run(
		&w, "{\"runtime\":\"sh\",\"source\":\"dd if=/dev/zero of=big bs=1048576 count=20 2>/dev/null; echo ok "
		    ">good; ln -s good "
		    "link; ln -s nowhere dangling; mkfifo fifo; echo 1234 >secret; chmod 0 secret; mkdir closed; echo "
		    "x >closed/x; chmod "
		    "0 closed; p=d; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 "
		    "28 29 30 31 32 33; do "
		    "p=$p/d; done; mkdir -p $p; echo x >$p/x\",\"outputs\":[\"**\"],\"limits\":{\"output\":65536}}");
	const json_t *outputs = json_object_get(r, "outputs");
	bool is_good = ok(strcmp(text_of(output_named(outputs, "good"), "content"), "ok\n") == 0,
			  "what can be handed back is");

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		const json_t *o = output_named(outputs, left[i].path);

		is_good &= ok(o && json_is_null(json_object_get(o, "content")) &&
				      strcmp(text_of(o, "left_out"), left[i].why) == 0,
			      "%.20s is left out: %s", left[i].path, left[i].why);
		is_good &= ok(left[i].size < 0 || number_of(o, "size") == left[i].size, "with its size: %lld",
			      (long long)number_of(o, "size"));
	}
	if (!is_good)
		show(r);
	json_decref(r);
}

/* A program that is ended in the middle of a character has written a text all the same. One that ends so by itself has not. */
static void test_cut_characters(void)
{
	static const char *const ends[] = {
		"sleep 9\",\"limits\":{\"wall_ms\":300}}",
		"while :; do :; done\",\"limits\":{\"cpu_ms\":200}}",
		"kill -KILL $$\"}",
		"kill -SEGV $$\"}",
		"exec payload memory 200\"}",
	};
	char text[300];
	json_t *r;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"runtime\":\"sh\",\"source\":\"printf 'ab\\\\342\\\\202'; printf 'e\\\\303' >&2; %s",
			       ends[i]);
		r = works_run(&w, text);
		if (!ok(strcmp(text_of(r, "stdout"), "ab") == 0 && !json_object_get(r, "stdout_encoding") &&
				strcmp(text_of(r, "stderr"), "e") == 0,
			"ended in the middle of a character: %s", text_of(r, "status")))
			show(r);
		json_decref(r);
	}
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"printf 'ab\\\\342\\\\202'\"}");
	is_str(text_of(r, "stdout_encoding"), "base64", "it ended by itself: its bytes are kept as they are");
	json_decref(r);
}

/* ---- interactive ---- */

static bool is_running(void *arg)
{
	return strcmp(job_state(((struct works_job *)arg)->job), "running") == 0 &&
	       journal_last(job_journal(((struct works_job *)arg)->job)) > 0;
}

static bool has_output(void *arg)
{
	return journal_bytes(job_journal(((struct works_job *)arg)->job), JOURNAL_STDOUT) > 0;
}

static void test_interactive(void)
{
	static char much[2 << 20];
	struct works_job j = { .works = NULL };

	works_start(&w, &j,
		    "{\"runtime\":\"sh\",\"source\":\"read a; echo got $a; cat; echo "
		    "end\",\"interactive\":true,\"stdin\":\"fi\"}");
	is_int(job_input(j.job, "rst\n", 4), 0, "input is taken before there is a process");
	works_until(&w, has_output, &j);
	is_int(job_input(j.job, "second\n", 7), 0, "and while it runs");
	is_int(job_end_input(j.job), 0, "until its end");
	works_wait(&w, &j);
	is_str(text_of(j.result, "stdout"), "got first\nsecond\nend\n", "all of it arrives, in order");
	works_job_done(&j);
	works_start(&w, &j, "{\"runtime\":\"sh\",\"source\":\"sleep 20\",\"interactive\":true}");
	works_until(&w, is_running, &j);
	is_int(job_input(j.job, much, sizeof(much)), -ENOBUFS, "too much input is refused");
	is_int(job_signal(j.job, SIGTERM), 0, "a signal is sent");
	works_wait(&w, &j);
	is_int(number_of(j.result, "signal"), SIGTERM, "and ends it");
	works_job_done(&j);
	works_start(&w, &j, "{\"runtime\":\"sh\",\"source\":\"true\"}");
	is_int(job_input(j.job, "x", 1), -EPIPE, "a job that is not interactive takes none");
	works_wait(&w, &j);
	works_job_done(&j);
}

static void test_terminal(void)
{
	struct works_job j = { .works = NULL };

	works_start(&w, &j,
		    "{\"runtime\":\"sh\",\"source\":\"echo; trap 'stty size' WINCH; read a; stty size; read b; echo "
		    "$b; cat; echo $TERM\","
		    "\"interactive\":true,\"tty\":{\"cols\":71,\"rows\":17}}");
	works_until(&w, has_output, &j);
	is_int(job_input(j.job, "x\n", 2), 0, "a terminal takes input");
	works_sleep(&w, 100);
	is_int(job_resize(j.job, 100, 40), 0, "it is resized");
	works_sleep(&w, 100);
	is_int(job_input(j.job, "second\n", 7), 0, "and goes on");
	works_sleep(&w, 100);
	is_int(job_end_input(j.job), 0, "to the end");
	works_wait(&w, &j);
	has_str(text_of(j.result, "stdout"), "17 71", "its size is that of the request");
	has_str(text_of(j.result, "stdout"), "40 100", "then the new one");
	has_str(text_of(j.result, "stdout"), "xterm-256color", "the end of input is seen");
	is_str(text_of(j.result, "status"), "ok", "it ends well");
	works_job_done(&j);
}

static void test_cancel(void)
{
	struct works_job j = { .works = NULL };

	works_start(&w, &j, "{\"runtime\":\"sh\",\"source\":\"echo a; sleep 20\"}");
	job_cancel(j.job, "not wanted any more");
	job_cancel(j.job, "twice");
	ok(!j.is_over, "over() never comes from inside a call");
	works_wait(&w, &j);
	is_str(text_of(j.result, "status"), "cancelled", "cancelled before it runs");
	is_str(text_of(j.result, "reason"), "not wanted any more", "with the first reason");
	works_job_done(&j);
	works_start(&w, &j, "{\"runtime\":\"sh\",\"source\":\"echo a; sleep 20\"}");
	works_until(&w, has_output, &j);
	job_cancel(j.job, "enough");
	works_wait(&w, &j);
	is_str(text_of(j.result, "status"), "cancelled", "cancelled while it runs");
	is_str(text_of(j.result, "stdout"), "a\n", "what it said stays");
	works_job_done(&j);
}

static void test_limits_change(void)
{
	json_t *r = works_run(
		&w,
		"{\"runtime\":\"sh\",\"source\":\"payload memory 90 && echo fits\",\"limits\":{\"memory\":\"200M\"}}");

	is_str(text_of(r, "stdout"), "fits\n", "a limit above that of what stands ready is set before it runs");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"payload memory 40\",\"limits\":{\"memory\":\"20M\"}}");
	is_str(text_of(r, "status"), "memory_limit", "and so is one below");
	has_str(text_of(r, "reason"), "20971520", "which the reason names");
	json_decref(r);
	r = works_run(
		&w,
		"{\"runtime\":\"copied\",\"source\":\"payload memory 80; cp /bin/payload $1\",\"args\":[\"true\"]}");
	is_str(text_of(r, "status"), "ok", "the compiler has its own");
	json_decref(r);
}

/* ---- figures ---- */

static double decimal_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

enum { FIGURES_SMALL = 12 << 20, FIGURES_NEAR = 3 << 20 };

/*
 * Compiled once with a compiler that takes much of everything, then out of the cache: the figures of the program are the
 * same, and those of the compiler stand beside it.
 */
static void test_stage_figures(void)
{
	static const char request[] = "{\"runtime\":\"copied\",\"source\":\"for i in 1 2 3 4 5 6; do sleep 0.3 & done; "
				      "payload memory 80; wait; cp /bin/payload $1\",\"args\":[\"true\"]}";
	json_t *first = works_run(&w, request), *second = works_run(&w, request);
	const json_t *compile = json_object_get(first, "compile");
	json_int_t apart = number_of(first, "memory_peak") - number_of(second, "memory_peak");
	bool is_good;

	is_good = !json_is_true(json_object_get(compile, "cached")) &&
		  json_is_true(json_object_get(json_object_get(second, "compile"), "cached"));
	ok(is_good, "a program is compiled, and then it is not");
	is_good &= ok(number_of(compile, "memory_peak") >= 80 << 20, "the compiler has its own peak of memory: %lld",
		      (long long)number_of(compile, "memory_peak"));
	is_good &= ok(number_of(compile, "processes_peak") >= 7, "of processes: %lld",
		      (long long)number_of(compile, "processes_peak"));
	is_good &= ok(decimal_of(compile, "cpu_ms") > 0 && json_is_integer(json_object_get(compile, "disk_bytes")),
		      "and its own cpu time and disk");
	is_good &= ok(number_of(first, "memory_peak") > 0 && number_of(first, "memory_peak") < FIGURES_SMALL,
		      "none of it is the program's: %lld bytes", (long long)number_of(first, "memory_peak"));
	is_good &= ok(apart < FIGURES_NEAR && -apart < FIGURES_NEAR, "which are as many when it is not compiled: %lld",
		      (long long)number_of(second, "memory_peak"));
	is_good &= ok(number_of(first, "processes_peak") == 1 && number_of(second, "processes_peak") == 1,
		      "it is one process, compiled (%lld) or not (%lld)", (long long)number_of(first, "processes_peak"),
		      (long long)number_of(second, "processes_peak"));
	if (!is_good) {
		show(first);
		show(second);
	}
	json_decref(first);
	json_decref(second);
}

/* Helpers write a dozen files and read them back: their work is ours, not the program's. */
static void test_own_figures(void)
{
	static char request[4096];
	size_t n = (size_t)snprintf(request, sizeof(request),
				    "{\"runtime\":\"sh\",\"outputs\":[\"*\"],\"files\":[{\"path\":"
				    "\"main.sh\",\"content\":\"exec payload true\"}");
	json_t *r;

	for (int i = 0; i < 12; i++)
		n += (size_t)snprintf(request + n, sizeof(request) - n, ",{\"path\":\"f%d\",\"content\":\"%d\"}", i, i);
	(void)snprintf(request + n, sizeof(request) - n, "]}");
	r = works_run(&w, request);
	if (!ok(json_array_size(json_object_get(r, "outputs")) == 13 && number_of(r, "processes_peak") == 1,
		"thirteen files go in and come back, and the program is one process"))
		show(r);
	ok(decimal_of(r, "cpu_ms") > 0 && decimal_of(r, "cpu_ms") <= decimal_of(r, "wall_ms"),
	   "one process uses no more cpu time than there was: %f of %f ms", decimal_of(r, "cpu_ms"),
	   decimal_of(r, "wall_ms"));
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"for i in 1 2 3; do sleep 0.2 & done; wait\"}");
	is_int(number_of(r, "processes_peak"), 4, "four at once are four");
	json_decref(r);
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"exec payload memory 40\"}");
	ok(number_of(r, "memory_peak") >= 40 << 20 && number_of(r, "memory_peak") < (40 << 20) + FIGURES_SMALL,
	   "40 MiB are 40 MiB: %lld", (long long)number_of(r, "memory_peak"));
	json_decref(r);
}

/* ---- limits that are smaller than what the set-up needs ---- */

static bool is_judged(const json_t *r)
{
	return text_of(r, "status")[0] && strcmp(text_of(r, "status"), "internal_error") != 0;
}

/* Each limit at the least that may be asked for, of both stages. Whatever comes of it, it is no fault of ours. */
static void test_least_limits(void)
{
	static const char *const least[] = { "\"cpu_ms\":1",     "\"wall_ms\":1",  "\"memory\":1048576",
					     "\"output\":1",     "\"disk\":65536", "\"processes\":1",
					     "\"open_files\":8", "\"cpus\":0.01",  "\"stack\":65536",
					     "\"file_size\":1" };
	char text[400];

	for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++) {
		static const char *const forms[] = {
			"{\"runtime\":\"sh\",\"source\":\"echo hi; echo x >f\",\"limits\":{",
			"{\"runtime\":\"copied\",\"source\":\"cp /bin/payload $1\",\"args\":[\"true\"],\"limits\":{",
			"{\"runtime\":\"copied\",\"source\":\"cp /bin/payload $1 # 2\",\"args\":[\"true\"],"
			"\"compile_limits\":{",
		};

		for (size_t k = 0; k < sizeof(forms) / sizeof(forms[0]); k++) {
			json_t *r;

			(void)snprintf(text, sizeof(text), "%s%s}}", forms[k], least[i]);
			r = works_run(&w, text);
			if (!ok(is_judged(r), "%s of %s: %s", least[i],
				k == 0   ? "a program"
				: k == 1 ? "one compiled"
					 : "a compiler",
				text_of(r, "status")))
				show(r);
			json_decref(r);
		}
	}
}

/* The sandbox holds more than the limit when it is set: its disk is memory. */
static void test_held_already(void)
{
	enum { HELD = 6 << 20 };
	static char request[HELD + 400];
	size_t n =
		(size_t)snprintf(request, sizeof(request),
				 "{\"runtime\":\"sh\",\"limits\":{\"memory\":\"4M\"},\"files\":[{\"path\":\"main.sh\","
				 "\"content\":\"echo hi\"},{\"path\":\"big\",\"content\":\"");
	json_t *r;

	memset(request + n, 'x', HELD);
	(void)snprintf(request + n + HELD, sizeof(request) - n - HELD, "\"}]}");
	r = works_run(&w, request);
	if (!ok(strcmp(text_of(r, "status"), "memory_limit") == 0, "files alone are more than the memory allowed: %s",
		text_of(r, "status")))
		show(r);
	has_str(text_of(r, "reason"), "4194304", "the reason names the limit");
	ok(number_of(r, "memory_peak") > HELD, "and the figure says how much it was: %lld",
	   (long long)number_of(r, "memory_peak"));
	json_decref(r);
}

static void test_many(void)
{
	enum { MANY = 24 };
	static struct works_job jobs[MANY];
	unsigned n_good = 0;

	for (int i = 0; i < MANY; i++) {
		char text[200];

		(void)snprintf(text, sizeof(text),
			       "{\"runtime\":\"sh\",\"source\":\"cat; echo %d\",\"stdin\":\"in %d \"}", i, i);
		works_start(&w, &jobs[i], text);
	}
	is_int(engine_running(w.engine), MANY, "many at once");
	for (int i = 0; i < MANY; i++) {
		char wanted[40];

		works_wait(&w, &jobs[i]);
		(void)snprintf(wanted, sizeof(wanted), "in %d %d\n", i, i);
		n_good += strcmp(text_of(jobs[i].result, "stdout"), wanted) == 0;
		works_job_done(&jobs[i]);
	}
	is_int(n_good, MANY, "each has its own input and output");
	is_int(engine_running(w.engine), 0, "and none is left");
}

/* ---- the pool ---- */

static void test_pool(void)
{
	struct pool_counts before, after;
	struct runtime_set *set = w.runtimes;
	json_t *r;

	works_ready(&w, 1);
	pool_counts(w.pool, &before);
	works_sleep(&w, 1200);
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"echo hi\"}");
	pool_counts(w.pool, &after);
	ok(json_is_true(json_object_get(r, "pooled")) && after.hits == before.hits + 1,
	   "one that stands ready is claimed");
	is_str(text_of(r, "version"), "1.2.3", "the version of its runtime is known");
	json_decref(r);
	pool_flush(w.pool, set);
	pool_counts(w.pool, &after);
	is_int(after.ready, 0, "a flush finishes what stands ready");
	r = works_run(&w, "{\"runtime\":\"sh\",\"source\":\"echo hi\"}");
	is_str(text_of(r, "stdout"), "hi\n", "and jobs go on at once");
	json_decref(r);
	works_ready(&w, 1);
	ok(true, "then others are made");
	r = pool_json(w.pool);
	ok(json_array_size(json_object_get(r, "classes")) >= 3, "the pool tells of its classes");
	json_decref(r);
}

/* ---- a front that dies ---- */

static struct works_job adopted[8];
static unsigned n_adopted;
static const char *adopted_requests[8];
static char adopted_tags[8][MONITOR_TAG_MAX + 1];

static void adopt(struct works *works, const struct monitor_adopt *m, struct sandbox_fds *fds)
{
	char id[65];
	unsigned attempt;
	bool is_direct;
	struct error err = ERROR_INIT;
	struct works_job *j;
	struct job_order o;

	if (!engine_tag_read(m->tag, m->tag_size, &(enum queue_space){ 0 }, id, &attempt, &is_direct) || n_adopted == 8)
		return;
	j = &adopted[n_adopted];
	memcpy(adopted_tags[n_adopted], m->tag, m->tag_size);
	o = works_order(works, j, id, adopted_requests[id[strlen(id) - 1] - '0']);
	o.attempt = attempt;
	o.is_direct = is_direct;
	n_adopted++;
	ok(engine_adopt(works->engine, m, fds, &o, &j->job, &err) == 0, "job %s is taken over %s", id, err.text);
}

enum { DEAD_RUNS, DEAD_ENDS, DEAD_DIRECT, DEAD_COMPILES, DEAD_READS, DEAD_JOBS };

static const char *const dead_requests[DEAD_JOBS] = {
	[DEAD_RUNS] =
		"{\"runtime\":\"sh\",\"source\":\"echo before; sleep 2; cat; echo after; exit 5\",\"stdin\":\"input\"}",
	[DEAD_ENDS] = "{\"runtime\":\"sh\",\"source\":\"echo short; sleep 1; echo last\",\"outputs\":[\"*\"]}",
	[DEAD_DIRECT] = "{\"runtime\":\"sh\",\"source\":\"sleep 30\"}",
	[DEAD_COMPILES] = "{\"runtime\":\"copied\",\"source\":\"sleep 30\"}",
	[DEAD_READS] = "{\"runtime\":\"sh\",\"source\":\"sleep 30\",\"limits\":{\"wall_ms\":1500}}",
};

/* The front that dies: another process, with jobs at work. */
static void doomed_front(int told)
{
	static struct works_job jobs[DEAD_JOBS];
	struct error err = ERROR_INIT;

	works_front(&w);
	for (int i = 0; i < DEAD_JOBS; i++) {
		char id[32];
		struct job_order o;

		(void)snprintf(id, sizeof(id), "dead-%d", i);
		o = works_order(&w, &jobs[i], id, dead_requests[i]);
		o.is_direct = i == DEAD_DIRECT;
		o.attempt = 3;
		if (engine_start(w.engine, &o, &jobs[i].job, &err) < 0)
			_exit(1);
	}
	works_until(&w, has_output, &jobs[DEAD_RUNS]);
	works_until(&w, has_output, &jobs[DEAD_ENDS]);
	works_until(&w, is_running, &jobs[DEAD_READS]);
	works_sleep(&w, 300);
	(void)!write(told, "x", 1);
	for (;;)
		works_sleep(&w, 1000);
}

static void test_front_dies(void)
{
	int told[2];
	char byte;
	pid_t pid;

	works_front_close(&w);
	need(pipe2(told, O_CLOEXEC) == 0, "a pipe");
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		doomed_front(told[1]);
	(void)close(told[1]);
	need(read(told[0], &byte, 1) == 1, "another front has jobs at work");
	(void)close(told[0]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)usleep(1500 * 1000); /* nobody is the front */
	w.adopt = adopt;
	for (int i = 0; i < DEAD_JOBS; i++)
		adopted_requests[i] = dead_requests[i];
	works_front(&w);
	is_int(n_adopted, DEAD_JOBS, "when it dies the next front is offered them");
	for (unsigned i = 0; i < n_adopted; i++) {
		struct works_job *j = &adopted[i];

		works_wait(&w, j);
		switch (text_of(j->result, "id")[5] - '0') {
		case DEAD_RUNS:
			ok(number_of(j->result, "exit_code") == 5 &&
				   strcmp(text_of(j->result, "stdout"), "before\ninputafter\n") == 0,
			   "one that was running ends as if nothing had happened") ||
				(show(j->result), 0);
			is_int(number_of(j->result, "attempt"), 3, "in the same attempt");
			break;
		case DEAD_ENDS:
			ok(strcmp(text_of(j->result, "stdout"), "short\nlast\n") == 0 &&
				   strcmp(text_of(j->result, "status"), "ok") == 0 &&
				   json_array_size(json_object_get(j->result, "outputs")) == 1,
			   "one that ended meanwhile has its verdict, output and files") ||
				(show(j->result), 0);
			break;
		case DEAD_DIRECT:
			is_str(text_of(j->result, "status"), "cancelled",
			       "a direct one, which nobody waits for, is ended");
			break;
		case DEAD_COMPILES:
			is_str(text_of(j->result, "status"), "internal_error", "one at its compiler is ours to repeat");
			break;
		case DEAD_READS:
			is_str(text_of(j->result, "status"), "time_limit",
			       "the wall clock of one goes on from its start");
			/* 300 ms under the front that died, 1500 under none */
			ok(json_number_value(json_object_get(j->result, "wall_ms")) > 1750, "and not from ours") ||
				(show(j->result), 0);
			break;
		default:
			ok(false, "an unknown job");
		}
		works_job_done(j);
	}
	w.adopt = NULL;
}

int main(void)
{
	const char *unfit = works_unfit();

	if (!unfit && access("/bin/busybox", X_OK) < 0)
		unfit = "no busybox";
	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	works_open(&w, NULL);
	works_begin(&w);
	works_front(&w);
	test_rows();
	test_events();
	test_artefacts();
	test_outputs();
	test_left_out();
	test_cut_characters();
	test_interactive();
	test_terminal();
	test_cancel();
	test_limits_change();
	test_stage_figures();
	test_own_figures();
	test_least_limits();
	test_held_already();
	test_many();
	test_pool();
	test_front_dies();
	works_close(&w);
	return done_testing();
}
