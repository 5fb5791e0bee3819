/* Any bytes as a language definition. Messages must be there exactly when it fails; what is accepted can be expanded.
 */
#include <stdint.h>
#include <stdlib.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const args[] = { "a", "{file}", NULL };
	struct runtime_def *def = NULL;
	struct error err = ERROR_INIT;
	char **argv = NULL, version[RUNTIME_VERSION_BYTES];
	int r = runtime_def_parse((const char *)data, size, "fuzz", &def, &err);

	if ((r == 0) != (def != NULL) || (r == 0) != (err.text[0] == '\0'))
		abort();
	if (!def)
		return 0;
	if (runtime_argv(def, &def->run, args, &argv, &err) == 0 && !argv[0])
		abort();
	runtime_argv_free(argv);
	runtime_version_find(def->text, version);
	runtime_def_free(def);
	return 0;
}
