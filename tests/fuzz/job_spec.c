/*
 * Any bytes as a request to run something. Messages must be there exactly when it fails, and be text; what is accepted
 * comes back from its own text the same, and can be run.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/base/error.h"
#include "runtime/base/utf8.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct settings settings = {
	.run_timeout_ns = 5000000000,
	.memory_bytes = 256 << 20,
	.cpus_milli = 1000,
	.max_wall_ns = 60000000000,
	.max_memory = 1 << 30,
	.max_cpus_milli = 2000,
	.max_processes = 512,
	.max_open_files = 4096,
	.max_output = 16 << 20,
	.max_disk = 1 << 30,
	.max_body = 16 << 20,
};

static void run(const struct job_spec *s, const struct runtime_set *runtimes)
{
	const struct runtime_def *def = runtime_set_find(runtimes, s->runtime);
	struct error err = ERROR_INIT;
	char **list = NULL;

	if (!def || s->main_file >= s->n_files || job_argv(s, def, false, &list, &err) < 0 || !list[0])
		abort();
	job_list_free(list);
	if (job_environment(s, def, false, NULL, &list, &err) < 0)
		abort();
	job_list_free(list);
	(void)job_output_matches(s, s->files[0].path); /* it comes to an end */
}

static void check_round(const struct job_spec *s, const struct job_context *context)
{
	struct job_spec *again = NULL;
	struct error err = ERROR_INIT;
	size_t size = 0;
	char *text = job_spec_text(s, &size), *second;

	if (!text || job_spec_parse(text, size, context, &again, NULL, &err) < 0)
		abort();
	second = job_spec_text(again, NULL);
	if (!second || strcmp(text, second) != 0)
		abort();
	free(text);
	free(second);
	job_spec_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct runtime_set *runtimes;
	struct job_context context = { .settings = &settings, .is_queued = true };
	struct job_spec *s = NULL;
	struct error err = ERROR_INIT;
	char field[160] = "";
	int r;

	if (!runtimes && runtime_set_load(NULL, &runtimes, NULL) < 0)
		abort();
	context.runtimes = runtimes;
	r = job_spec_parse((const char *)data, size, &context, &s, field, &err);
	if ((r == 0) != (s != NULL) || (r == 0) != (err.text[0] == '\0') || (r < 0 && r != -err.code))
		abort();
	if (!utf8_is_text(err.text, strlen(err.text)) || !utf8_is_text(field, strlen(field)))
		abort();
	if (!s)
		return 0;
	run(s, runtimes);
	check_round(s, &context);
	job_spec_free(s);
	return 0;
}
