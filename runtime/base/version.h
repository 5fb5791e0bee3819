/* The version of everything built from this tree. Pure; runs anywhere. */
#pragma once

#define CUBIT_VERSION "0.1.0"
