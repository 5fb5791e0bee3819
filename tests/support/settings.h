/* Settings for tests that load none: a node that is whole, with everything that can be left out left out. Runs in: tests. */
#pragma once

struct settings;

/*
 * dir: below it are the directories run, state, runtimes and policies, which are not made. Every text is on the heap and
 * small: the program ends with it. What a test means otherwise it sets itself.
 */
void test_settings(struct settings *ret, const char *dir);
