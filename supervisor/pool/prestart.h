/*
 * Prestart: an interpreter that waits in a pooled sandbox for its program.
 *
 * The launcher (images/runtimes/NAME.json, prestart.argv) starts the interpreter with the very command line of a run,
 * makes it stop before it has looked at the program, imports common modules, writes one byte to standard output, and
 * reads one message from standard input. It then makes files, arguments and environment what the message says, and returns
 * to the interpreter, which goes on to run the program as it always does: nothing of the launcher is left below it.
 * What it cannot make equal it starts anew in its place, execve(2), with the same files, arguments and environment.
 *
 *   message   u32 size of what follows, then records: u8 kind, u32 size, bytes; little-endian
 *     'f'     path of a file, relative to the working directory; 'm' then its mode as u32, 'd' its content
 *     'l'     u64 bytes: the stack (RLIMIT_STACK), if what is there is larger
 *     'a'     one string of argv, argv[0] first
 *     'e'     one "NAME=value" of the environment, which is complete
 *
 * What follows the message in standard input is the program's.
 *
 * Runs in: front. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct job_spec;
struct process_limits;
struct runtime_def;

enum {
	PRESTART_READY_BYTES = 1, /* on standard output; never the program's */
	PRESTART_FILES_BYTES = 1 << 20,
	PRESTART_STACK_BYTES = 1 << 30, /* the memory ends a recursion: it is not known yet how much there will be */
};

/* Does this runtime have a launcher that we know how to use? */
bool prestart_is_there(const struct runtime_def *def);

/* The resource limits that an interpreter waits with. */
struct process_limits prestart_limits(const struct runtime_def *def);

/* The memory that it sizes itself by: the definition's, else normal_bytes, that of a job that does not say. */
uint64_t prestart_memory(const struct runtime_def *def, uint64_t normal_bytes);

/* Could this job go to a waiting interpreter? normal_bytes: as above. */
bool prestart_fits(const struct job_spec *spec, const struct runtime_def *def, uint64_t normal_bytes);

/* The message for the launcher. argv, env as for a cold start. out: bounded above what a request may have. */
void prestart_message(const struct job_spec *spec, char *const *argv, char *const *env, struct buf *out);
