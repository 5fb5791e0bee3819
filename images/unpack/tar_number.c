/* Numbers as tar headers hold them. */
#include <errno.h>
#include <string.h>

#include "images/unpack/tar_impl.h"

static int base256(const uint8_t *field, size_t size, int64_t *ret)
{
	bool is_negative = field[0] & 0x40;
	uint64_t v = is_negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++) {
		uint8_t byte = field[i];

		if (i == 0)
			byte = (uint8_t)(is_negative ? byte | 0x80 : byte & 0x7f);
		/* what is pushed out at the top must have been sign only */
		if ((v >> 56) != (is_negative ? 0xffU : 0U))
			return -ERANGE;
		v = v << 8 | byte;
	}
	if ((v >> 63) != (is_negative ? 1U : 0U))
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}

int tar_number(const uint8_t *field, size_t size, int64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (field[0] & 0x80)
		return base256(field, size, ret);
	while (i < size && (field[i] == ' ' || field[i] == '\0'))
		i++;
	for (; i < size && field[i] != ' ' && field[i] != '\0'; i++) {
		if (field[i] < '0' || field[i] > '7')
			return -EINVAL;
		v = v << 3 | (uint64_t)(field[i] - '0'); /* 12 digits fit */
	}
	*ret = (int64_t)v;
	return 0;
}

int tar_decimal(const char *text, size_t size, uint64_t *ret)
{
	uint64_t v = 0;

	if (size == 0 || size > 20)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int tar_time(const char *text, size_t size, int64_t *ret_s, uint32_t *ret_ns)
{
	bool is_negative = size > 0 && text[0] == '-';
	const char *digits = text + is_negative, *end = text + size;
	const char *dot = memchr(digits, '.', (size_t)(end - digits));
	uint64_t s = 0;
	uint32_t ns = 0, unit = 100000000;

	if (tar_decimal(digits, (size_t)((dot ? dot : end) - digits), &s) < 0 || s > INT64_MAX - 1)
		return -EINVAL;
	for (const char *p = dot ? dot + 1 : end; p < end; p++, unit /= 10) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		ns += (uint32_t)(*p - '0') * unit; /* unit is 0 past the ninth digit */
	}
	*ret_s = is_negative ? -(int64_t)s : (int64_t)s;
	*ret_ns = ns;
	if (is_negative && ns > 0) {
		(*ret_s)--;
		*ret_ns = 1000000000 - ns;
	}
	return 0;
}
