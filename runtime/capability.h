/* What this process may do: capabilities(7), asked by number. */
#pragma once

#include <stdbool.h>

/* Is a capability (CAP_*) in our effective set? Allocates: not in a child before exec. */
bool capability_is_effective(int cap);
