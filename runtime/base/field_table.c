/* Messages as tables of fields: see field_table.h. Used by both ends; no allocation. */
#include "runtime/base/field_table.h"

#include <string.h>

static void put_counted(struct frame_writer *w, const struct field *f, const void *data, const uint32_t *size)
{
	if (*size > f->room)
		w->is_full = true;
	else
		frame_put_bytes(w, data, *size);
}

static void get_counted(struct frame_reader *r, const struct field *f, void *ret, uint32_t *ret_size)
{
	size_t size;
	const void *data = frame_get_bytes(r, f->room, &size);

	if (data)
		memcpy(ret, data, size);
	*ret_size = (uint32_t)size;
}

static void get_span(struct frame_reader *r, enum field_kind kind, struct span *ret)
{
	ret->data = frame_get_bytes(r, FRAME_MAX_BYTES, &ret->size);
	if (kind == FIELD_STRINGS && ret->size > 0 && ((const char *)ret->data)[ret->size - 1])
		r->is_bad = true;
}

void field_table_put(struct frame_writer *w, const struct field *fields, size_t n, const void *message)
{
	for (const struct field *f = fields; f < fields + n; f++) {
		const void *p = (const char *)message + f->offset;
		const struct span *s = p;

		switch ((enum field_kind)f->kind) {
		case FIELD_U8:
			frame_put_u8(w, *(const uint8_t *)p);
			break;
		case FIELD_U16:
			frame_put_u16(w, *(const uint16_t *)p);
			break;
		case FIELD_U32:
			frame_put_u32(w, *(const uint32_t *)p);
			break;
		case FIELD_U64:
			frame_put_u64(w, *(const uint64_t *)p);
			break;
		case FIELD_STR:
			frame_put_bytes(w, p, strnlen(p, f->room));
			break;
		case FIELD_BYTES:
		case FIELD_STRINGS:
			frame_put_bytes(w, s->data, s->size);
			break;
		case FIELD_COUNTED:
			put_counted(w, f, p, (const void *)((const char *)message + f->count));
			break;
		}
	}
}

void field_table_get(struct frame_reader *r, const struct field *fields, size_t n, void *message)
{
	for (const struct field *f = fields; f < fields + n; f++) {
		void *p = (char *)message + f->offset;

		switch ((enum field_kind)f->kind) {
		case FIELD_U8:
			*(uint8_t *)p = frame_get_u8(r);
			break;
		case FIELD_U16:
			*(uint16_t *)p = frame_get_u16(r);
			break;
		case FIELD_U32:
			*(uint32_t *)p = frame_get_u32(r);
			break;
		case FIELD_U64:
			*(uint64_t *)p = frame_get_u64(r);
			break;
		case FIELD_STR:
			frame_get_str(r, p, f->room);
			break;
		case FIELD_BYTES:
		case FIELD_STRINGS:
			get_span(r, (enum field_kind)f->kind, p);
			break;
		case FIELD_COUNTED:
			get_counted(r, f, p, (void *)((char *)message + f->count));
			break;
		}
	}
}
