/* Handing a program to a waiting interpreter: see prestart.h. */
#include "supervisor/pool/prestart.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "images/languages/runtime_argv.h"
#include "images/languages/runtime_def.h"
#include "runtime/agent/agent.h"
#include "runtime/base/buf.h"
#include "supervisor/spec/spec.h"

enum { OPEN_FILES_DEFAULT = 256 };

/*
 * Variables that an interpreter, its libraries or the C library look at once, when they start: a job that sets one of these
 * starts cold. Beginnings of names.
 */
static const char *const looked_at_once[] = {
	"PYTHON",  "NODE", "LD_", "LC_",  "LANG",     "LANGUAGE", "MALLOC_", "GLIBC_",         "GCONV_",
	"LOCPATH", "TZ",   "UV_", "SSL_", "OPENSSL_", "ICU_",     "V8_",     "CUBIT_PRESTART",
};

bool prestart_is_there(const struct runtime_def *def)
{
	char *const *argv = def->run.argv;

	/* the launcher stands for a command line of this form; another one was written by somebody who did not think of it */
	return def->prestart.argv && !def->compile.argv && argv[0] && argv[1] && strcmp(argv[1], "{file}") == 0 &&
	       argv[2] && strcmp(argv[2], "{args...}") == 0 && !argv[3];
}

static bool is_looked_at_once(const char *variable)
{
	for (size_t i = 0; i < sizeof(looked_at_once) / sizeof(looked_at_once[0]); i++) {
		if (strncmp(variable, looked_at_once[i], strlen(looked_at_once[i])) == 0)
			return true;
	}
	return false;
}

struct process_limits prestart_limits(const struct runtime_def *def)
{
	const struct runtime_limits *l = &def->run.limits;

	return (struct process_limits){ l->open_files ? l->open_files : OPEN_FILES_DEFAULT,
					l->stack_bytes ? l->stack_bytes : PRESTART_STACK_BYTES, l->file_bytes };
}

/* The launcher lowers its stack to what the message says. */
static bool limits_fit(const struct job_limits *l, const struct process_limits *waiting)
{
	return l->open_files == waiting->open_files && l->file_bytes == waiting->file_bytes &&
	       l->stack_bytes <= waiting->stack_bytes;
}

uint64_t prestart_memory(const struct runtime_def *def, uint64_t normal_bytes)
{
	return def->run.limits.memory_bytes ? def->run.limits.memory_bytes : normal_bytes;
}

bool prestart_fits(const struct job_spec *spec, const struct runtime_def *def, uint64_t normal_bytes)
{
	const struct process_limits waiting = prestart_limits(def);
	size_t total = 0;

	if (!prestart_is_there(def) || spec->has_tty || !limits_fit(&spec->limits, &waiting))
		return false;
	if (runtime_is_sized(&def->prestart) && spec->limits.memory_bytes != prestart_memory(def, normal_bytes))
		return false;
	if (strcmp(spec->files[spec->main_file].path, def->file) != 0)
		return false;
	for (size_t i = 0; spec->env && spec->env[i]; i++) {
		if (is_looked_at_once(spec->env[i]))
			return false;
	}
	for (size_t i = 0; i < spec->n_files; i++)
		total += spec->files[i].size;
	/* a disk that may overflow is the business of file calls: they have words for it */
	return total <= PRESTART_FILES_BYTES && total <= spec->limits.disk_bytes / 4;
}

static void put_u32(uint8_t to[4], uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

/* As much as there is: its bound lies above what a request may have. */
static void put(struct buf *out, char kind, const void *data, size_t size)
{
	uint8_t head[5] = { (uint8_t)kind };

	put_u32(head + 1, (uint32_t)size);
	(void)buf_append(out, head, sizeof(head));
	if (size)
		(void)buf_append(out, data, size);
}

void prestart_message(const struct job_spec *spec, char *const *argv, char *const *env, struct buf *out)
{
	uint8_t number[4] = { 0 }, stack[8];
	size_t start = out->size;

	(void)buf_append(out, number, sizeof(number));
	for (size_t i = 0; i < spec->n_files; i++) {
		const struct job_file *f = &spec->files[i];

		put_u32(number, f->mode);
		put(out, 'f', f->path, strlen(f->path));
		put(out, 'm', number, sizeof(number));
		put(out, 'd', f->data, f->size);
	}
	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = (uint8_t)(spec->limits.stack_bytes >> (8 * i));
	put(out, 'l', stack, sizeof(stack));
	for (; *argv; argv++)
		put(out, 'a', *argv, strlen(*argv));
	for (; env && *env; env++)
		put(out, 'e', *env, strlen(*env));
	put_u32((uint8_t *)out->data + start, (uint32_t)(out->size - start - sizeof(number)));
}
