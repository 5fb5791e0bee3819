/* Ids for the sandboxes of one test that no other running test has, of any tree on this machine. */
#pragma once

#include <stdint.h>

enum { ID_SLOT_COUNT = 256 }; /* ranges of 65536 ids */

/* The first id of ours; the same again in the same process, which holds it to its end. Bails out when all are taken. */
uint32_t id_slot_base(void);
