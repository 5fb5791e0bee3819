/*
 * The main of a fuzz target that was built without a fuzzer: feeds it every file of its corpus,
 * tests/fuzz/corpus/NAME/, and a fixed sequence of mutations of each. TAP: one assertion a file.
 * A crash is the failure; sanitizer builds see more.
 */
#include <dirent.h>
#include <libgen.h>
#include <stdint.h>

#include "tests/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20, MUTATIONS = 300 };

static uint32_t seed = 12345;

static uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static void mutate_and_run(const uint8_t *data, size_t size)
{
	for (int i = 0; i < MUTATIONS && size > 0; i++) {
		size_t cut = rnd() % 4 == 0 ? rnd() % size : size;
		uint8_t *copy = malloc(cut ? cut : 1); /* exactly sized, so that a sanitizer sees one byte past it */

		if (!copy)
			return;
		memcpy(copy, data, cut);
		for (uint32_t flips = rnd() % 8; cut > 0 && flips > 0; flips--)
			copy[rnd() % cut] = (uint8_t)rnd();
		(void)LLVMFuzzerTestOneInput(copy, cut); /* the return value is the fuzzer's business */
		free(copy);
	}
}

static void replay(const char *dir, const char *name)
{
	char path[4096];
	uint8_t *data;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	data = malloc(INPUT_MAX);
	need(f && data, "corpus file %s can be read", name);
	n = fread(data, 1, INPUT_MAX, f);
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(data, n);
	mutate_and_run(data, n);
	free(data);
	ok(1, "%s and %d mutations of it do no harm", name, MUTATIONS);
}

int main(int argc, char **argv)
{
	const char *src = getenv("CUBIT_SRC");
	char dir[2048];
	struct dirent *e;
	DIR *d;

	(void)argc;
	(void)snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", src ? src : ".", basename(argv[0]));
	d = opendir(dir);
	need(d, "the corpus %s is there", dir);
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.')
			replay(dir, e->d_name);
	}
	(void)closedir(d);
	return done_testing();
}
