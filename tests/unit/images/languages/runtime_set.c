/* All runtimes together: those built in are whole, an operator's replace them, and a bad one takes nothing else down.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

static char weak[600], strong[600], missing[600];

static void put(const char *dir, const char *file, const char *text)
{
	char path[1000];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	need(fd >= 0 && fd_write_all(fd, text, strlen(text), NULL) == 0, "%s written", file);
	fd_close(&fd);
}

/* A definition with little in it. */
static const char *definition(const char *name, const char *aliases, const char *image)
{
	static char text[1000];

	(void)snprintf(text, sizeof(text),
		       "{\"name\":\"%s\",\"aliases\":[%s],\"image\":\"%s\",\"file\":\"a\",\"version_command\":[\"v\"],"
		       "\"run\":{\"argv\":[\"{file}\"]},\"test\":{\"hello\":\"h\",\"stdout\":\"o\",\"endless\":\"e\","
		       "\"hog\":\"g\"}}",
		       name, aliases, image);
	return text;
}

static struct runtime_set *load(const char *const *dirs)
{
	struct runtime_set *set = NULL;
	struct error err = ERROR_INIT;

	need(runtime_set_load(dirs, &set, &err) == 0, "definitions are read %s", err.text);
	return set;
}

static void builtins(void)
{
	static const char *const names[] = { "bash", "c",   "cpp",    "go",           "java", "lua",       "node",
					     "perl", "php", "python", "python-numpy", "ruby", "typescript" };
	struct runtime_set *set = load(NULL);
	size_t n = 0;

	is_str(runtime_set_problem(set, 0) ? runtime_set_problem(set, 0) : "", "",
	       "nothing is wrong with those built in");
	for (; runtime_set_at(set, n); n++)
		is_str(runtime_set_at(set, n)->name, n < sizeof(names) / sizeof(names[0]) ? names[n] : "",
		       "%s is one of them", runtime_set_at(set, n)->name);
	is_int(n, sizeof(names) / sizeof(names[0]), "these are all");
	ok(runtime_set_find(set, "c++") && strcmp(runtime_set_find(set, "c++")->name, "cpp") == 0, "c++ is cpp");
	ok(!runtime_set_find(set, "cobol") && !runtime_set_find(set, "") && !runtime_set_find(set, "../c"),
	   "what is not there is not found");
	runtime_set_free(set);
}

static void own_ones(void)
{
	const char *const dirs[] = { weak, missing, strong, NULL };
	struct runtime_set *set;

	put(weak, "python.json", definition("python", "\"py\"", "localhost/weak"));
	put(strong, "python.json", definition("python", "\"py\"", "localhost/strong"));
	put(weak, "zig.json", definition("zig", "\"z\"", "localhost/zig"));
	put(weak, ".hidden.json", "{");
	put(weak, "notes.txt", "{");
	put(weak, "lua.json~", "{");
	set = load(dirs);
	ok(!runtime_set_problem(set, 0), "files of another kind and a directory that is not there are no problem");
	is_str(runtime_set_find(set, "py")->image, "localhost/strong:latest", "the stronger directory wins");
	has_str(runtime_set_find(set, "py")->origin, strong, "and is named as the origin");
	ok(runtime_set_find(set, "z") && runtime_set_find(set, "ruby"), "new ones are added, the others stay");
	runtime_set_free(set);
}

static void bad_ones(void)
{
	const char *const dirs[] = { strong, NULL };
	struct runtime_set *set;

	put(strong, "node.json", "{\"name\":\"node\",\"image\":7}");
	put(strong, "perl.json", definition("pearl", "", "localhost/x"));
	put(strong, "zag.json", definition("zag", "\"ruby\",\"php8\",\"own\",\"zag\"", "localhost/x"));
	set = load(dirs);
	need(runtime_set_problem(set, 0) && runtime_set_problem(set, 1) && runtime_set_problem(set, 2) &&
		     runtime_set_problem(set, 3) && !runtime_set_problem(set, 4),
	     "four problems");
	has_str(runtime_set_problem(set, 0), "/node.json: image: must be a string, is a whole number",
		"a bad file by its field");
	has_str(runtime_set_problem(set, 1), "/perl.json: name: 'pearl' is not that of the file", "a wrong name");
	has_str(runtime_set_problem(set, 2), "/zag.json: aliases: 'ruby' is also the name of 'ruby'",
		"a name as an alias");
	has_str(runtime_set_problem(set, 3), "/zag.json: aliases: 'php8' is also an alias of 'php'", "an alias of two");
	ok(!runtime_set_find(set, "node") && !runtime_set_find(set, "perl"),
	   "a bad definition is not replaced by the one built in");
	is_str(runtime_set_find(set, "ruby")->name, "ruby", "a name is stronger than an alias");
	ok(!runtime_set_find(set, "php8"), "an alias of two is nobody's");
	is_str(runtime_set_find(set, "own")->name, "zag", "the other aliases work");
	ok(runtime_set_find(set, "python") && runtime_set_find(set, "php"), "everything else is there");
	runtime_set_free(set);
}

static void large_file(void)
{
	const char *const dirs[] = { strong, NULL };
	struct runtime_set *set;
	char path[1000];
	size_t n = 0;

	put(strong, "big.json", "{");
	(void)snprintf(path, sizeof(path), "%s/big.json", strong);
	need(truncate(path, RUNTIME_TEXT_MAX + 1) == 0, "a large file");
	set = load(dirs);
	while (runtime_set_problem(set, n) && !strstr(runtime_set_problem(set, n), "/big.json: "))
		n++;
	ok(runtime_set_problem(set, n), "a file that is too large is a problem by its name");
	runtime_set_free(set);
}

int main(void)
{
	const char *base = getenv("CUBIT_TEST_DIR");
	char dir[500];

	(void)snprintf(dir, sizeof(dir), "%s/runtime-set-XXXXXX", base ? base : "/tmp");
	need(mkdtemp(dir), "a directory");
	(void)snprintf(weak, sizeof(weak), "%s/weak", dir);
	(void)snprintf(strong, sizeof(strong), "%s/strong", dir);
	(void)snprintf(missing, sizeof(missing), "%s/missing", dir);
	need(mkdir(weak, 0700) == 0 && mkdir(strong, 0700) == 0, "two in it");
	builtins();
	own_ones();
	bad_ones();
	large_file();
	return done_testing();
}
