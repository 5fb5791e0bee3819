/* Opening a store: it is private, and ours. */
#include "tests/root/store_fixture.h"

static unsigned mode_of(const char *sub)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", root, sub);
	return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static void is_private(void)
{
	static const char *const dirs[] = { "", "blobs", "blobs/sha256", "layers", "refs", "leases", "tmp", "trash" };

	umask(0);
	store_close(must_open());
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		is_int(mode_of(dirs[i]), 0700, "'%s' is for its owner only, whatever the umask", dirs[i]);
	chmod(root, 0755);
	store_close(must_open());
	is_int(mode_of(""), 0700, "a store that others could read is closed to them when it is opened");
}

static void is_ours(void)
{
	struct store *none = NULL;

	is_int(chown(root, 12345, 0), 0, "a store of another user");
	error_clear(&err);
	is_int(store_open(root, &none, &err), -EPERM, "is refused");
	has_str(err.text, "belongs to user 12345", "and the message says whose it is");
}

int main(void)
{
	store_fixture();
	is_private();
	if (geteuid() == 0)
		is_ours();
	return done_testing();
}
