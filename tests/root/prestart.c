/*
 * A program that is handed to a waiting interpreter sees what it would see when started cold: a list of programs, and those
 * of tests/support/seen, which print whatever they can find; each run both ways, byte for byte. Needs two of the default images, made where all tests of this build share them
 * (tests/lib/daemon.sh), or CUBIT_TEST_IMAGES, a store that has them.
 *
 * # timeout: 900
 * # where: host
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "supervisor/journal/journal.h"
#include "supervisor/pool/pool.h"
#include "tests/support/works.h"
#include "tests/tap.h"

static struct works w;

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/*
 * Programs as members of a request: "source": ..., and whatever else.
 * NOLINTBEGIN(bugprone-suspicious-missing-comma): long ones go over several lines
 */
static const char *const python[] = {
	"\"source\":\"print('hello')\"",
	"\"source\":\"import os, site, sys\\nprint(site.getuserbase(), sys.executable, "
	"os.path.expanduser('~'))\",\"env\":{\"HOME\":\"/tmp\"}",
	"\"source\":\"import os, sys\\nprint(sys.executable, os.environ)\",\"env\":{\"PATH\":\"/bin:/usr/bin\"}",
	"\"source\":\"print(__name__, __file__, __doc__, __package__, __spec__, __builtins__, __loader__.__class__)\"",
	"\"source\":\"print(list(globals()))\\nprint(dir())\\nprint(__loader__.path, __cached__, __annotations__)\"",
	"\"source\":\"import sys\\nprint(sys.argv, sys.path, sys.orig_argv, sys.flags, "
	"sys.executable)\",\"args\":[\"a\",\"b c\",\"\"]",
	"\"source\":\"import os\\nprint(os.environ)\\nprint(os.getcwd(), os.listdir('.'), "
	"os.umask(0))\",\"env\":{\"B\":\"1\",\"A\":\"=x=\"}",
	"\"source\":\"import os\\nos.environ['NEW']='1'\\nprint(os.popen('env').read())\"",
	"\"source\":\"def f():\\n    1/0\\n\\nf()\\n\"",
	"\"source\":\"x = (\\n\"",
	"\"source\":\"import sys\\nsys.exit(7)\"",
	"\"source\":\"import sys\\nsys.exit('a message')\"",
	"\"source\":\"raise SystemExit\"",
	"\"source\":\"raise KeyboardInterrupt\"",
	"\"source\":\"import os, signal\\nos.kill(os.getpid(), signal.SIGINT)\"",
	"\"source\":\"import os, signal\\nos.kill(os.getpid(), signal.SIGTERM)\"",
	"\"source\":\"import os\\nos._exit(3)\"",
	"\"source\":\"import signal\\nprint([(s, signal.getsignal(s)) for s in signal.valid_signals()], "
	"signal.pthread_sigmask(0, []))\"",
	"\"source\":\"import atexit\\natexit.register(print, 'bye')\\nprint('hi')\"",
	"\"source\":\"import __main__\\nx = 5\\nprint(__main__.x, __main__.__file__)\"",
	"\"source\":\"import sys\\nprint(sys.stdin.read(), sys.stdin.isatty(), sys.stdin.fileno(), "
	"sys.stdin.seekable())\",\"stdin\":\"in\\nput\"",
	"\"source\":\"print(input())\\nprint(input())\",\"stdin\":\"one\\ntwo\\n\"",
	"\"source\":\"print(repr(input()))\"",
	"\"source\":\"import os, stat\\nprint(stat.S_IFMT(os.fstat(0).st_mode), os.read(0, 9))\"",
	"\"source\":\"import os\\nprint(sorted(os.listdir('/proc/self/fd')))\"",
	"\"source\":\"import threading\\nt = threading.Thread(target=print, args=('thread',))\\nt.start(); t.join()\\n"
	"print(threading.current_thread().name, threading.active_count())\"",
	"\"source\":\"import multiprocessing as m\\n\\ndef f(x):\\n    return x * x\\n\\nif __name__ == '__main__':\\n"
	"    with m.Pool(2) as p:\\n        print(p.map(f, [1, 2, 3]))\\n\"",
	"\"source\":\"import multiprocessing as m\\n\\ndef f(q):\\n    q.put(__name__)\\n\\nif __name__ == "
	"'__main__':\\n"
	"    m.set_start_method('spawn')\\n    q = m.Queue()\\n    p = m.Process(target=f, args=(q,))\\n    "
	"p.start()\\n"
	"    print(q.get())\\n    p.join()\\n\"",
	"\"source\":\"import inspect, traceback, sys\\nprint(len(inspect.stack()))\\ntraceback.print_stack()\\n"
	"def f(n):\\n    return f(n + 1)\\ntry:\\n    f(0)\\nexcept RecursionError as e:\\n    print(e, "
	"sys.getrecursionlimit())\"",
	"\"source\":\"import sys\\ndef f(n):\\n    global m\\n    m = n\\n    f(n + 1)\\ntry:\\n    f(0)\\nexcept "
	"RecursionError:\\n    print(m)\"",
	"\"source\":\"import resource\\nprint([(r, resource.getrlimit(getattr(resource, r))) for r in dir(resource) if "
	"r.startswith('RLIMIT') and r[-5:] != 'OFILE'])\"",
	"\"source\":\"import sys\\nprint(sys.excepthook, sys.displayhook, sys.gettrace(), sys.getprofile(), "
	"sys.meta_path, len(sys.path_hooks))\"",
	"\"source\":\"import sys\\nprint(sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, "
	"sys.getfilesystemencoding(), "
	"sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering, sys.stdin.encoding, "
	"sys.getswitchinterval())\"",
	"\"source\":\"import warnings\\nwarnings.warn('careful')\"",
	"\"source\":\"import os\\nprint(os.listdir('/tmp'), os.getppid(), os.getsid(0) == os.getpid(), os.getpgid(0) "
	"== os.getpid())\"",
	"\"source\":\"import json\\nprint(json.__name__, json.dumps({'a': [1, 2]}))\"",
	"\"files\":[{\"path\":\"main.py\",\"content\":\"import json, helper\\nprint(json.x, helper.y)\"},"
	"{\"path\":\"json.py\",\"content\":\"x = 1\"},{\"path\":\"helper.py\",\"content\":\"y = 2\"}]",
	"\"files\":[{\"path\":\"main.py\",\"content\":\"import a.b, os\\nprint(a.b.z, a.__file__, "
	"open('d/e.txt').read(), "
	"oct(os.stat('run').st_mode), oct(os.stat('d').st_mode), oct(os.stat('main.py').st_mode))\"},"
	"{\"path\":\"a/__init__.py\",\"content\":\"\"},{\"path\":\"a/b.py\",\"content\":\"z = 3\"},"
	"{\"path\":\"d/e.txt\",\"content\":\"text\"},{\"path\":\"run\",\"content\":\"\",\"mode\":493}]",
	"\"files\":[{\"path\":\"other.py\",\"content\":\"import sys\\nprint(sys.argv, __file__)\"}]",
	"\"source\":\"import sys\\nprint(sys.flags, 1)\",\"env\":{\"PYTHONOPTIMIZE\":\"1\"}",
	"\"source\":\"import time\\nprint(time.tzname)\",\"env\":{\"TZ\":\"XYZ-3\"}",
	"\"source\":\"import os, sys\\nos.execv(sys.executable, ['python3', '-c', 'print(5)'])\"",
	"\"source\":\"import os\\npid = os.fork()\\nprint('child' if pid == 0 else os.waitpid(pid, 0)[1], "
	"flush=True)\"",
	"\"source\":\"import subprocess, sys\\nprint(subprocess.run([sys.executable, '-c', 'import sys; "
	"print(sys.path, sys.argv)'], capture_output=True, text=True))\"",
	"\"source\":\"print('\\u00e4\\u20ac', ascii('\\u00e4'))\\nimport sys\\nsys.stderr.write('\\u00fc')\"",
	"\"source\":\"import os\\nos.abort()\"",
	"\"source\":\"import sys\\nsys.stdout.write('no newline')\"",
	"\"source\":\"import gc\\nprint(gc.isenabled(), gc.get_threshold())\"",
	"\"source\":\"class A:\\n    def __del__(self):\\n        print('del')\\na = A()\"",
	"\"source\":\"# -*- coding: latin-1 -*-\\nprint(len('\\u00e4'))\"",
	"\"source\":\"import sys\\nprint('sitecustomize' in sys.modules, 'usercustomize' in sys.modules, '__mp_main__' "
	"in sys.modules)\"",
	"\"source\":\"import asyncio\\nasync def f():\\n    await asyncio.sleep(0)\\n    "
	"print('async')\\nasyncio.run(f())\"",
	"\"source\":\"import logging, random, decimal\\nlogging.warning('x')\\nrandom.seed(1)\\nprint(random.random(), "
	"decimal.Decimal(1) / 3)\"",
	"\"source\":\"\"",
	NULL,
};

static const char *const node[] = {
	"\"source\":\"console.log('hello')\"",
	"\"source\":\"console.log(process.argv, process.execArgv, process.argv0, process.execPath, "
	"process.title)\",\"args\":[\"a\",\"b c\",\"\"]",
	"\"source\":\"console.log(require.main === module, __filename, __dirname, module.paths, module.id, "
	"module.children, module.loaded)\"",
	"\"source\":\"console.log(module.parent, Object.keys(require.cache), require('module')._pathCache)\"",
	"\"source\":\"console.log(process.env)\\nconsole.log(process.cwd(), "
	"process.umask())\",\"env\":{\"B\":\"1\",\"A\":\"=x=\"}",
	"\"source\":\"throw new Error('no')\"",
	"\"source\":\"function f() { null.x }\\nf()\"",
	"\"source\":\"let x = ;\"",
	"\"source\":\"process.exit(7)\"",
	"\"source\":\"process.exitCode = 4\"",
	"\"source\":\"Promise.reject(new Error('p'))\"",
	"\"source\":\"process.kill(process.pid, 'SIGINT')\\nsetTimeout(() => {}, 5000)\"",
	"\"source\":\"process.on('exit', (c) => console.log('bye', c)); console.log('hi')\"",
	"\"source\":\"process.stdin.on('data', (d) => console.log(String(d))).on('end', () => "
	"console.log('end'))\",\"stdin\":\"in\\nput\"",
	"\"source\":\"console.log(require('fs').readFileSync(0, 'utf8'))\",\"stdin\":\"abc\"",
	"\"source\":\"console.log(require('fs').readFileSync(0, 'utf8').length)\"",
	"\"source\":\"console.log(require('fs').readdirSync('/proc/self/fd').length > 3, process.stdin.isTTY, "
	"process.stdout.isTTY)\"",
	"\"source\":\"const { Worker, isMainThread, parentPort } = require('worker_threads');\\nif (isMainThread) new "
	"Worker(__filename)."
	"on('message', (m) => console.log(m)); else parentPort.postMessage([process.argv, process.env.NODE_OPTIONS])\"",
	"\"source\":\"console.log(String(require('child_process').execFileSync(process.execPath, ['-p', "
	"'process.execArgv.length + String(process.env.NODE_OPTIONS)'])))\"",
	"\"source\":\"const c = require('child_process');\\nif (process.argv[2]) process.send(process.argv.slice(2)); "
	"else c.fork(__filename, ['x']).on('message', (m) => console.log(m))\"",
	"\"files\":[{\"path\":\"main.js\",\"content\":\"console.log(require('./lib/a').x, require('b'), "
	"require('./c.json'))\"},"
	"{\"path\":\"lib/a.js\",\"content\":\"exports.x = "
	"1\"},{\"path\":\"node_modules/b/index.js\",\"content\":\"module.exports = 'B'\"},"
	"{\"path\":\"c.json\",\"content\":\"{}\"}]",
	"\"files\":[{\"path\":\"main.js\",\"content\":\"import fs from 'fs'; console.log(import.meta.url, typeof "
	"require)\"},"
	"{\"path\":\"package.json\",\"content\":\"{\\\"type\\\":\\\"module\\\"}\"}]",
	"\"files\":[{\"path\":\"main.mjs\",\"content\":\"console.log(import.meta.url)\"}]",
	"\"source\":\"import('fs').then((m) => console.log(typeof m.readFileSync))\"",
	"\"source\":\"console.log(new Error('e').stack); console.trace('here')\"",
	"\"source\":\"console.log(Object.keys(globalThis), this === module.exports, arguments.length)\"",
	"\"source\":\"console.log(process.env.NODE_ENV, process.release.name)\",\"env\":{\"NODE_ENV\":\"production\"}",
	"\"source\":\"setTimeout(() => console.log('later'), 10); process.nextTick(() => console.log('tick'))\"",
	"\"source\":\"console.log(process.listenerCount('exit'), process.eventNames(), process.getMaxListeners())\"",
	"\"source\":\"console.log(require('fs').readdirSync('.'), require('os').tmpdir())\"",
	"\"source\":\"console.log('\\u00e4\\u20ac'); console.error('x')\"",
	"\"source\":\"\"",
	NULL,
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

/* One sandbox of this runtime with a waiting interpreter stands ready. */
static bool is_waiting(void *arg)
{
	const char *runtime = arg;
	json_t *o = pool_json(w.pool), *class;
	bool is = false;
	size_t i;

	json_array_foreach(json_object_get(o, "classes"), i, class)
	{
		if (strcmp(text_of(class, "runtime"), runtime) == 0 &&
		    json_is_true(json_object_get(class, "prestart")) &&
		    json_integer_value(json_object_get(class, "ready")) > 0)
			is = true;
	}
	json_decref(o);
	return is;
}

/* Where two texts part: the lines. */
static void show_difference(const char *key, const char *cold, const char *waiting)
{
	size_t line = 0, i = 0;

	for (; cold[i] && cold[i] == waiting[i]; i++) {
		if (cold[i] == '\n')
			line = i + 1;
	}
	diag("%s differs: cold '%.*s', waiting '%.*s'", key, (int)strcspn(cold + line, "\n"), cold + line,
	     (int)strcspn(waiting + line, "\n"), waiting + line);
}

static bool is_same(const json_t *a, const json_t *b, const char *key)
{
	if (json_equal(json_object_get(a, key), json_object_get(b, key)))
		return true;
	show_difference(key, text_of(a, key), text_of(b, key));
	return false;
}

static json_t *run_waiting(const char *runtime, const char *program)
{
	char *text = NULL;
	json_t *result;

	works_until(&w, is_waiting, (void *)(uintptr_t)runtime);
	if (asprintf(&text, "{\"runtime\":\"%s\",%s,\"limits\":{\"wall_ms\":20000}}", runtime, program) < 0)
		abort();
	result = works_run(&w, text);
	free(text);
	return result;
}

/* name: what the program is called in the title. Returns whether it was handed to one that waited. */
static bool compare(const char *runtime, const char *program, const char *name)
{
	json_t *cold, *warm;
	char *text = NULL;
	bool is_good, has_waited;

	if (asprintf(&text, "{\"runtime\":\"%s\",%s,\"limits\":{\"open_files\":255,\"wall_ms\":20000}}", runtime,
		     program) < 0)
		abort();
	cold = works_run(&w, text);
	free(text);
	warm = run_waiting(runtime, program);
	has_waited = json_is_true(json_object_get(warm, "prestarted"));
	is_good = is_same(cold, warm, "status");
	is_good = is_same(cold, warm, "exit_code") && is_good;
	is_good = is_same(cold, warm, "signal") && is_good;
	is_good = is_same(cold, warm, "stdout") && is_good;
	is_good = is_same(cold, warm, "stderr") && is_good;
	ok(is_good && !json_is_true(json_object_get(cold, "prestarted")), "%s: %s%s", runtime,
	   has_waited ? "" : "(cold) ", name);
	if (!is_good && getenv("V"))
		diag("%s", json_dumps(warm, JSON_INDENT(1)));
	json_decref(cold);
	json_decref(warm);
	return has_waited;
}

/* ---- programs that print whatever they can find ---- */

/* What counts from the start of an interpreter shows that it waited only when it did. */
enum { WAITS_MS = 2500 };

static int is_program(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Of the file as a member of a request; owned. */
static char *source_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[16384], *member = NULL, *quoted;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	json_t *o;

	need(n > 0 && (size_t)n < sizeof(text), "%s", path);
	(void)close(fd);
	o = json_stringn(text, (size_t)n);
	quoted = json_dumps(o, JSON_ENCODE_ANY);
	if (!quoted || asprintf(&member, "\"source\":%s", quoted) < 0)
		abort();
	free(quoted);
	json_decref(o);
	return member;
}

static void compare_seen(const char *runtime, const char *ending)
{
	const char *src = getenv("CUBIT_SRC");
	struct dirent **list = NULL;
	char path[4096];
	int n;

	(void)snprintf(path, sizeof(path), "%s/tests/support/seen", src ? src : ".");
	n = scandir(path, &list, is_program, alphasort);
	need(n > 0, "programs in tests/support/seen");
	for (int i = 0; i < n; i++) {
		const char *point = strrchr(list[i]->d_name, '.');

		if (point && strcmp(point, ending) == 0) {
			char *program;

			(void)snprintf(path, sizeof(path), "%s/tests/support/seen/%s", src ? src : ".",
				       list[i]->d_name);
			program = source_of(path);
			if (strncmp(list[i]->d_name, "time", 4) == 0) {
				works_until(&w, is_waiting, (void *)(uintptr_t)runtime);
				works_sleep(&w, WAITS_MS);
			}
			need(compare(runtime, program, list[i]->d_name), "%s waited", runtime);
			free(program);
		}
		free(list[i]);
	}
	free(list);
}

/* What is drawn when an interpreter starts is its own. */
static void no_two_alike(void)
{
	static const char program[] = "\"source\":\"import random\\nprint(hash('x'), random.random(), "
				      "random.getstate()[1][0])\"";
	json_t *a = run_waiting("python", program), *b = run_waiting("python", program);

	ok(json_is_true(json_object_get(a, "prestarted")) && json_is_true(json_object_get(b, "prestarted")) &&
		   strcmp(text_of(a, "status"), "ok") == 0 && strcmp(text_of(a, "stdout"), text_of(b, "stdout")) != 0,
	   "python: two that waited have hashes and random numbers of their own");
	json_decref(a);
	json_decref(b);
}

/* ---- a front that dies ---- */

static const char late[] =
	"{\"runtime\":\"python\",\"source\":\"import sys, time\\nprint(input(), flush=True)\\ntime.sleep(2)\\n"
	"print(sys.stdin.read(), sys.argv)\",\"stdin\":\"one\\ntwo\"}";
static struct works_job taken_over;

static bool has_output(void *arg)
{
	return journal_bytes(job_journal(((struct works_job *)arg)->job), JOURNAL_STDOUT) > 0;
}

static void adopt(struct works *works, const struct monitor_adopt *m, struct sandbox_fds *fds)
{
	char id[65];
	unsigned attempt;
	bool is_direct;
	struct error err = ERROR_INIT;
	struct job_order o;

	if (!engine_tag_read(m->tag, m->tag_size, &(enum queue_space){ 0 }, id, &attempt, &is_direct))
		return;
	o = works_order(works, &taken_over, id, late);
	if (engine_adopt(works->engine, m, fds, &o, &taken_over.job, &err) < 0)
		diag("%s", err.text);
}

static void doomed_front(int told)
{
	static struct works_job j;

	works_front(&w);
	works_until(&w, is_waiting, (void *)(uintptr_t) "python");
	works_start(&w, &j, late);
	works_until(&w, has_output, &j);
	works_sleep(&w, 100);
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
	need(read(told[0], &byte, 1) == 1, "another front has handed a program over");
	(void)close(told[0]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	w.adopt = adopt;
	works_front(&w);
	need(taken_over.job != NULL, "when it dies the next one takes the job over");
	works_wait(&w, &taken_over);
	is_str(text_of(taken_over.result, "stdout"), "one\ntwo ['main.py']\n",
	       "and it ends as if nothing had happened");
	works_job_done(&taken_over);
}

/* Like need_images() of tests/lib/daemon.sh. */
static bool make_images(char *path, size_t room)
{
	const char *build = getenv("CUBIT_BUILD"), *src = getenv("CUBIT_SRC");
	char *command = NULL;
	int r = -1;

	(void)snprintf(path, room, "%s/images-state/images", build);
	if (src &&
	    asprintf(
		    &command,
		    "mkdir -p %s/images-state && (flock 9 && CUBIT_STATE=%s/images-state %s/tools/mkimage python node) "
		    "9>%s/images-state/lock >&2",
		    build, build, src, build) > 0)
		r = system(command);
	free(command);
	return r == 0;
}

int main(int argc, char **argv)
{
	const char *unfit = works_unfit(), *images = getenv("CUBIT_TEST_IMAGES");
	char path[600];

	if (!unfit && !images) {
		images = path;
		if (!make_images(path, sizeof(path)))
			unfit = "the images cannot be made";
	}
	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	works_open(&w, images);
	w.settings.memory_bytes = UINT64_C(256) << 20;
	works_begin(&w);
	works_front(&w);
	if (argc < 2 || strcmp(argv[1], "node") != 0) {
		compare_seen("python", ".py");
		no_two_alike();
	}
	if (argc < 2 || strcmp(argv[1], "python") != 0)
		compare_seen("node", ".js");
	for (size_t i = 0; python[i] && (argc < 2 || strcmp(argv[1], "python") == 0); i++)
		compare("python", python[i], python[i]);
	for (size_t i = 0; node[i] && (argc < 2 || strcmp(argv[1], "node") == 0); i++)
		compare("node", node[i], node[i]);
	test_front_dies();
	works_close(&w);
	return done_testing();
}
