/* Names of signals as people write them. Pure; runs anywhere. */
#pragma once

/* "INT", "SIGINT", "int": the number; 0 when there is none of that name, or name is NULL. */
int signal_number(const char *name);
