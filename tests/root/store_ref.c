/* References of the store: any name is a name, and only a name. */
#include "tests/root/store_fixture.h"

static int count_ref(const struct image_record *r, void *arg)
{
	char *text = arg;

	strcat(text, r->name);
	strcat(text, "\n");
	return 0;
}

static void references(void)
{
	struct store *s = must_open();
	struct image_record r = { .name = "registry.example:5000/lib/x:1",
				  .created_s = 7,
				  .size_bytes = UINT64_C(1) << 40 },
			    *got = NULL;
	struct digest d[2];
	char text[8192] = "", long_name[STORE_NAME_BYTES];

	digest_of("m", 1, &r.manifest);
	digest_of("c", 1, &r.config);
	digest_of("1", 1, &d[0]);
	digest_of("2", 1, &d[1]);
	r.n_layers = 2;
	r.blobs = r.diff_ids = d;
	is_int(store_ref_set(s, &r, &err), 0, "a reference is set");
	is_int(store_ref_get(s, r.name, &got, &err), 0, "and read back");
	ok(got && strcmp(got->name, r.name) == 0 && got->size_bytes == r.size_bytes && got->created_s == 7 &&
		   got->n_layers == 2 && digest_equal(&got->manifest, &r.manifest) &&
		   digest_equal(&got->blobs[1], &d[1]) && digest_equal(&got->diff_ids[0], &d[0]),
	   "as it was");
	image_record_free(got);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	memcpy(r.name, long_name, sizeof(long_name));
	is_int(store_ref_set(s, &r, &err), 0, "a name longer than a file name may be is no trouble");
	is_int(store_ref_get(s, long_name, &got, &err), 0, "and found again");
	image_record_free(got);
	snprintf(r.name, sizeof(r.name), "%s", "../../../etc/passwd");
	is_int(store_ref_set(s, &r, &err), 0, "a name that looks like a path");
	is_int(names_in("refs"), 3, "is a file in refs like any other");
	snprintf(r.name, sizeof(r.name), "%s", "a\nb");
	error_clear(&err);
	is_int(store_ref_set(s, &r, &err), -EINVAL, "control characters in a name are refused");
	has_str(err.text, "byte 0x0a", "by their number");
	is_int(store_ref_each(s, count_ref, text, &err), 0, "all are listed");
	ok(strncmp(text, "../../../etc/passwd\naaaa", 20) == 0 && strstr(text, "registry.example:5000/lib/x:1\n"),
	   "by name");
	error_clear(&err);
	is_int(store_ref_get(s, "nothing:here", &got, &err), -ENOENT, "an unknown name is ENOENT");
	has_str(err.text, "'nothing:here'", "with the name");
	is_int(store_ref_remove(s, "nothing:here", NULL), -ENOENT, "also to remove");
	is_int(store_ref_remove(s, "../../../etc/passwd", &err), 0, "a known one is removed");
	is_int(store_ref_remove(s, long_name, &err), 0, "the long one too");
	is_int(store_ref_remove(s, "registry.example:5000/lib/x:1", &err), 0, "and the first");
	store_close(s);
}

int main(void)
{
	store_fixture();
	references();
	return done_testing();
}
