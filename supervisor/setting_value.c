/* One value of a setting, read and written: see setting_row.h. */
#include "supervisor/setting_row.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"

char **setting_text(struct settings *s, const struct setting_row *row)
{
	return (char **)((char *)s + row->offset);
}

static uint64_t *number_of(struct settings *s, const struct setting_row *row)
{
	return (uint64_t *)((char *)s + row->offset);
}

static int read_text(const struct setting_row *row, const char *text, char **ret, struct error *err)
{
	char *copy;

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			return error_set(err, EINVAL, "holds a control character");
	}
	if (strlen(text) >= (size_t)SETTING_TEXT_MAX)
		return error_set(err, EINVAL, "is longer than %d bytes", SETTING_TEXT_MAX - 1);
	if (row->check && row->check(text, err) < 0)
		return -EINVAL;
	copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	free(*ret);
	*ret = copy;
	return 0;
}

/* What a number of this kind is multiplied with to be kept, and printed divided by. */
static uint64_t factor(enum setting_kind kind)
{
	return kind == KIND_MS ? NS_PER_MS : kind == KIND_MEBIBYTES ? MEBI : 1;
}

int setting_read(const struct setting_row *row, const char *text, struct settings *s, struct error *err)
{
	uint64_t *number = number_of(s, row);
	int r;

	switch (row->kind) {
	case KIND_TEXT:
		return read_text(row, text, setting_text(s, row), err);
	case KIND_BOOL:
		return parse_bool(text, (bool *)((char *)s + row->offset), err);
	case KIND_BYTES:
		return parse_bytes(text, row->min, row->max, number, err);
	case KIND_TIME:
		/* the one time that needs no unit */
		return parse_duration_ns(strcmp(text, "0") == 0 ? "0s" : text, row->min, row->max, number, err);
	case KIND_CPUS:
		return parse_milli(text, row->min, row->max, number, err);
	case KIND_NUMBER:
	case KIND_MS:
	case KIND_MEBIBYTES:
		r = parse_u64(text, row->min, row->max, number, err);
		if (r == 0)
			*number *= factor(row->kind);
		return r;
	case KINDS:
		break;
	}
	assert(!"a kind without a reader");
	return -EINVAL;
}

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* In the largest unit that says it exactly. */
static int print_units(struct buf *out, uint64_t value, const struct unit *units)
{
	while (units->factor > 1 && (value == 0 || value % units->factor != 0))
		units++;
	return buf_printf(out, "%" PRIu64 "%s", value / units->factor, units->suffix);
}

/* As it can be read back; appends. Returns 0 or -ENOMEM. */
int setting_write(const struct setting_row *row, const struct settings *s, struct buf *out)
{
	static const struct unit bytes[] = { { "T", TEBI }, { "G", GIBI }, { "M", MEBI }, { "K", 1024 }, { "", 1 } };
	static const struct unit times[] = { { "h", HOUR },       { "m", 60 * NS_PER_S }, { "s", NS_PER_S },
					     { "ms", NS_PER_MS }, { "us", NS_PER_US },    { "ns", 1 } };
	const void *at = (const char *)s + row->offset;
	uint64_t number = row->kind == KIND_TEXT || row->kind == KIND_BOOL ? 0 : *(const uint64_t *)at;

	switch (row->kind) {
	case KIND_TEXT:
		return buf_append_str(out, *(char *const *)at);
	case KIND_BOOL:
		return buf_append_str(out, *(const bool *)at ? "yes" : "no");
	case KIND_BYTES:
		return print_units(out, number, bytes);
	case KIND_TIME:
		return print_units(out, number, times);
	case KIND_CPUS:
		if (number % 1000 == 0)
			return buf_printf(out, "%" PRIu64, number / 1000);
		return buf_printf(out, "%" PRIu64 ".%03u", number / 1000, (unsigned)(number % 1000));
	default:
		return buf_printf(out, "%" PRIu64, number / factor(row->kind));
	}
}
