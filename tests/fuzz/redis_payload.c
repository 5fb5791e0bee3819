/*
 * Any bytes as the payload of a stream or, when the first one is 'L', of the list. There is a message exactly when it
 * fails, and it is text; what is accepted can be read again by the dispatcher.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "runtime/base/utf8.h"
#include "supervisor/redis/payload.h"
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
	.max_body = 1 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct runtime_set *runtimes;
	struct job_context context = { .settings = &settings };
	bool is_list = size > 0 && data[0] == 'L';
	struct job_spec *s = NULL;
	struct redis_payload p;
	struct error err = ERROR_INIT;
	int r;

	if (!runtimes && runtime_set_load(NULL, &runtimes, NULL) < 0)
		abort();
	context.runtimes = runtimes;
	r = redis_payload_read((const char *)data + is_list, size - is_list, is_list ? NULL : "17-0", is_list, &context,
			       &p, &err);
	if ((r == 0) != (err.text[0] == '\0') || !utf8_is_text(err.text, strlen(err.text)) || (r < 0 && p.spec))
		abort();
	if (p.id[0] && parse_id(p.id, NULL) < 0)
		abort();
	if (r == 0 && (!p.id[0] || parse_id(p.owner, NULL) < 0 || p.is_cube == (p.spec != NULL)))
		abort();
	context.is_queued = true;
	if (p.spec && job_spec_parse(p.spec, p.spec_size, &context, &s, NULL, &err) < 0)
		abort();
	job_spec_free(s);
	redis_payload_done(&p);
	return 0;
}
