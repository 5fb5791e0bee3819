/*
 * The built-in profiles: what each answers to which call, how they differ from each other, and that the kernel agrees.
 * The verdicts are asked of the compiled program, for x86_64 and aarch64.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policies/builtin.h"
#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "policies/simulate.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

enum which { DEFAULT, STRICT, NET, BUILD, UNCONFINED, PROFILES };
enum { X86, ARM, ARCHES };

static const char *const names[PROFILES] = { "default", "strict", "net", "build", "unconfined" };
static const uint32_t arches[ARCHES] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64 };
static const char *const arch_names[ARCHES] = { "x86_64", "aarch64" };

static struct policy_profile *profiles[PROFILES];
static struct policy_rules *rules[PROFILES][ARCHES];
static struct policy_filter *filters[PROFILES][ARCHES];

#define OK      SECCOMP_RET_ALLOW
#define NO(e)   (SECCOMP_RET_ERRNO | (e))
#define KILL    SECCOMP_RET_KILL_PROCESS
#define GARBAGE (0xdeadbeefULL << 32) /* in bits that the kernel does not read */

struct verdict {
	const char *call;
	uint64_t args[4];
	uint32_t want[PROFILES];
};

/* clang-format off */
static const struct verdict verdicts[] = {
	/*                                             default strict net build unconfined */
	{ "read",         { 0 },                       { OK, OK, OK, OK, OK } },
	{ "execve",       { 0 },                       { OK, OK, OK, OK, OK } },
	{ "exit_group",   { 0 },                       { OK, OK, OK, OK, OK } },
	{ "mmap",         { 0 },                       { OK, OK, OK, OK, OK } },
	{ "futex",        { 0 },                       { OK, OK, OK, OK, OK } },
	{ "getrandom",    { 0 },                       { OK, OK, OK, OK, OK } },
	{ "clock_gettime", { 0 },                      { OK, OK, OK, OK, OK } },
	{ "landlock_restrict_self", { 0 },             { OK, OK, OK, OK, OK } },
	{ "futex_waitv",  { 0 },                       { OK, OK, OK, OK, OK } },
	{ "close_range",  { 0 },                       { OK, OK, OK, OK, OK } },
	{ "epoll_pwait2", { 0 },                       { OK, OK, OK, OK, OK } },
	{ "faccessat2",   { 0 },                       { OK, OK, OK, OK, OK } },
	{ "rseq",         { 0 },                       { OK, OK, OK, OK, OK } },
	{ "execveat",     { 0 },                       { OK, OK, OK, OK, OK } },
	{ "memfd_create", { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "splice",       { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "inotify_init1", { 0 },                      { OK, NO(EPERM), OK, OK, OK } },
	{ "pidfd_open",   { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "shmget",       { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "setsid",       { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "setuid",       { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "kill",         { 0 },                       { OK, OK, OK, OK, OK } },
	{ "sync",         { 0 },                       { NO(0), NO(EPERM), NO(0), NO(0), NO(0) } },
	{ "fsync",        { 0 },                       { OK, OK, OK, OK, OK } },
	{ "mmap",         { 0, 4096, 3, 0x22 },        { OK, OK, OK, OK, OK } },
	{ "mmap",         { 0, 4096, 3, 0x40022 },     { NO(ENOMEM), NO(ENOMEM), NO(ENOMEM), NO(ENOMEM), NO(ENOMEM) } },
	{ "memfd_create", { 0, 5 },                    { NO(ENOMEM), NO(ENOMEM), NO(ENOMEM), NO(ENOMEM), NO(ENOMEM) } },
	{ "setrlimit",    { 7 },                       { OK, OK, OK, OK, OK } },
	{ "setrlimit",    { 4 },                       { NO(0), NO(0), NO(0), NO(0), NO(0) } },
	{ "prlimit64",    { 0, 4, 0, 5 },              { OK, OK, OK, OK, OK } },
	{ "prlimit64",    { 0, 4, 5, 0 },              { NO(0), NO(0), NO(0), NO(0), NO(0) } },
	{ "fadvise64",    { 3, 0, 0, 3 },              { OK, OK, OK, OK, OK } },
	{ "fadvise64",    { 3, 0, 0, 4 },              { NO(0), NO(0), NO(0), NO(0), NO(0) } },
	{ "fadvise64",    { 3, 0, 0, 0x100000004 },    { NO(0), NO(0), NO(0), NO(0), NO(0) } },

	/* processes and namespaces */
	{ "fork",         { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "vfork",        { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "clone",        { 17 },                      { OK, NO(EPERM), OK, OK, OK } },
	{ "clone",        { 0x3d0f00 },                { OK, OK, OK, OK, OK } }, /* a thread, as libc makes it */
	{ "clone",        { 0x3d0f00 | GARBAGE },      { OK, OK, OK, OK, OK } },
	{ "clone",        { 0x10000000 | 17 },         { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x10000000 | 0x3d0f00 },   { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x10000000 | GARBAGE },    { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x00020000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x02000000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x04000000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x08000000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x20000000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x40000000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x80 },                    { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone",        { 0x7e020080 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "clone3",       { 0 },                       { NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), OK } },
	{ "unshare",      { 0x10000000 },              { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "setns",        { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "ptrace",       { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "process_vm_readv", { 0 },                   { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "pidfd_getfd",  { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "personality",  { 0 },                       { OK, OK, OK, OK, OK } },
	{ "personality",  { 0xffffffff },              { OK, OK, OK, OK, OK } },
	{ "personality",  { 0xffffffffffffffff },      { OK, OK, OK, OK, OK } },
	{ "personality",  { 0x0040000 },               { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } }, /* no randomisation */
	{ "personality",  { 0x0400000 | GARBAGE },     { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "prctl",        { 15 },                      { OK, OK, OK, OK, OK } },
	{ "prctl",        { 35 | GARBAGE },            { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), OK } },
	{ "prctl",        { 62 },                      { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL) } },
	{ "prctl",        { 67 },                      { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL) } },
	{ "seccomp",      { 1, 1 },                    { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), OK } }, /* text of the kernel */
	{ "seccomp",      { 1 | GARBAGE, 0 },          { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), OK } },
	{ "seccomp",      { 0, 0 },                    { OK, OK, OK, OK, OK } },
	{ "seccomp",      { 2, 0 },                    { OK, OK, OK, OK, OK } },
	{ "prctl",        { 22, 2 },                   { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), OK } },
	{ "prctl",        { 22, 1 },                   { OK, NO(EINVAL), OK, OK, OK } },
	{ "setsockopt",   { 3, 1, 26 },                { NO(ENOPROTOOPT), NO(EPERM), NO(ENOPROTOOPT), NO(ENOPROTOOPT), NO(ENOPROTOOPT) } },
	{ "setsockopt",   { 3, 1 | GARBAGE, 50 | GARBAGE }, { NO(ENOPROTOOPT), NO(EPERM), NO(ENOPROTOOPT), NO(ENOPROTOOPT), NO(ENOPROTOOPT) } },
	{ "setsockopt",   { 3, 1, 51 },                { NO(ENOPROTOOPT), NO(EPERM), NO(ENOPROTOOPT), NO(ENOPROTOOPT), NO(ENOPROTOOPT) } },
	{ "setsockopt",   { 3, 1, 52 },                { NO(ENOPROTOOPT), NO(EPERM), NO(ENOPROTOOPT), NO(ENOPROTOOPT), NO(ENOPROTOOPT) } },
	{ "setsockopt",   { 3, 1, 27 },                { OK, NO(EPERM), OK, OK, OK } },
	{ "setsockopt",   { 3, 6, 26 },                { OK, NO(EPERM), OK, OK, OK } },
	{ "io_setup",     { 8, 0 },                    { NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS) } },
	{ "seccomp",      { 1, 8 | 1 },                { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), OK } },
	{ "madvise",      { 0, 0, 4 },                 { OK, OK, OK, OK, OK } },
	{ "madvise",      { 0, 0, 12 | GARBAGE },      { NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL) } },

	/* sockets: the kernel reads 32 bits of each argument */
	{ "socket",       { 1, 1, 0 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "socket",       { 1 | GARBAGE, 1, 0 },       { OK, NO(EPERM), OK, OK, OK } },
	{ "socket",       { 2, 1, 0 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "socket",       { 2, 1, 6 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "socket",       { 10, 2, 17 },               { OK, NO(EPERM), OK, OK, OK } },
	{ "socket",       { 2, 2, 1 },                 { NO(EPROTONOSUPPORT), NO(EPERM), OK, OK, OK } },   /* ping */
	{ "socket",       { 10, 2, 58 },               { NO(EPROTONOSUPPORT), NO(EPERM), OK, OK, OK } },
	{ "socket",       { 2, 1, 262 },               { NO(EPROTONOSUPPORT), NO(EPERM), OK, OK, OK } },   /* MPTCP */
	{ "socket",       { 2, 1, 132 },               { NO(EPROTONOSUPPORT), NO(EPERM), NO(EPROTONOSUPPORT), NO(EPROTONOSUPPORT), OK } },
	{ "socket",       { 2, 3, 255 | GARBAGE },     { NO(EPROTONOSUPPORT), NO(EPERM), NO(EPROTONOSUPPORT), NO(EPROTONOSUPPORT), OK } },
	{ "socket",       { 16, 3, 0 },                { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), OK } }, /* routes */
	{ "socket",       { 16, 3, 12 },               { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), OK } },
	{ "socket",       { 17, 3, 0 },                { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), OK } },
	{ "socket",       { 38, 5, 0 },                { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT) } },
	{ "socket",       { 38 | GARBAGE, 5, 0 },      { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT) } },
	{ "socket",       { 38 | 1ULL << 32, 5, 0 },   { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT) } },
	{ "socket",       { 40, 1, 0 },                { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT) } },
	{ "socket",       { 40 | GARBAGE, 1, 0 },      { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT) } },
	{ "socket",       { 0xffffffffffffffff, 1, 0 }, { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), OK } },
	{ "socketpair",   { 1, 1, 0 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "socketpair",   { 30, 1, 0 },                { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), OK } },
	{ "socketpair",   { 38 | GARBAGE, 1, 0 },      { NO(EAFNOSUPPORT), NO(EPERM), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT), NO(EAFNOSUPPORT) } },
	{ "connect",      { 0 },                       { OK, NO(EPERM), OK, OK, OK } },
	{ "setsockopt",   { 0, 1, 2 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "setsockopt",   { 0, 6, 1 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "setsockopt",   { 0, 6, 31 },                { NO(ENOPROTOOPT), NO(EPERM), NO(ENOPROTOOPT), NO(ENOPROTOOPT), OK } },
	{ "setsockopt",   { 0, 6 | GARBAGE, 31 | GARBAGE }, { NO(ENOPROTOOPT), NO(EPERM), NO(ENOPROTOOPT), NO(ENOPROTOOPT), OK } },
	{ "setsockopt",   { 0, 0, 31 },                { OK, NO(EPERM), OK, OK, OK } },

	/* terminals, leases */
	{ "ioctl",        { 0, 0x5401 },               { OK, OK, OK, OK, OK } },
	{ "ioctl",        { 0, 0x5413 },               { OK, OK, OK, OK, OK } },
	{ "ioctl",        { 0, 0x5414 },               { OK, NO(ENOTTY), OK, OK, OK } },
	{ "ioctl",        { 0, 0x5412 },               { NO(EPERM), NO(ENOTTY), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "ioctl",        { 0, 0x5412 | GARBAGE },     { NO(EPERM), NO(ENOTTY), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "ioctl",        { 0, 0x541c | GARBAGE },     { NO(EPERM), NO(ENOTTY), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "ioctl",        { 0, 0x5423 },               { NO(EPERM), NO(ENOTTY), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "fcntl",        { 0, 1 },                    { OK, OK, OK, OK, OK } },
	{ "fcntl",        { 0, 1030 },                 { OK, OK, OK, OK, OK } },
	{ "fcntl",        { 0, 6 },                    { OK, NO(EPERM), OK, OK, OK } },
	{ "fcntl",        { 0, 1025 },                 { OK, NO(EPERM), OK, OK, OK } },
	{ "fcntl",        { 0, 1024 | GARBAGE },       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "fcntl",        { 0, 1026 | 1ULL << 32 },    { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },

	/* files */
	{ "open",         { 0, 0 },                    { OK, OK, OK, OK, OK } },
	{ "open",         { 0, 1 },                    { OK, NO(EROFS), OK, OK, OK } },
	{ "openat",       { 0, 0, 0x80000 },           { OK, OK, OK, OK, OK } },
	{ "openat",       { 0, 0, 2 },                 { OK, NO(EROFS), OK, OK, OK } },
	{ "openat",       { 0, 0, 0x40 },              { OK, NO(EROFS), OK, OK, OK } },
	{ "openat",       { 0, 0, 0x200 },             { OK, NO(EROFS), OK, OK, OK } },
	{ "openat",       { 0, 0, 0x410000 },          { OK, NO(EROFS), OK, OK, OK } },
	{ "unlinkat",     { 0 },                       { OK, NO(EROFS), OK, OK, OK } },
	{ "fchmodat",     { 0 },                       { OK, NO(EROFS), OK, OK, OK } },
	{ "openat2",      { 0 },                       { NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), OK } },
	{ "mknodat",      { 0, 0, 0100644 },           { OK, NO(EROFS), OK, OK, OK } },
	{ "mknodat",      { 0, 0, 0644 },              { OK, NO(EROFS), OK, OK, OK } },
	{ "mknodat",      { 0, 0, 0010600 },           { OK, NO(EROFS), OK, OK, OK } },
	{ "mknodat",      { 0, 0, 0140600 },           { OK, NO(EROFS), OK, OK, OK } },
	{ "mknodat",      { 0, 0, 0020666 },           { NO(EPERM), NO(EROFS), NO(EPERM), NO(EPERM), OK } },
	{ "mknodat",      { 0, 0, 0060600 | GARBAGE }, { NO(EPERM), NO(EROFS), NO(EPERM), NO(EPERM), OK } },
	{ "mknod",        { 0, 0100644 },              { OK, NO(EROFS), OK, OK, OK } },
	{ "mknod",        { 0, 0020666 },              { NO(EPERM), NO(EROFS), NO(EPERM), NO(EPERM), OK } },
	{ "chroot",       { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), OK, OK } },
	{ "mount",        { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "umount2",      { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "fsopen",       { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "open_tree",    { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "pivot_root",   { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "open_by_handle_at", { 0 },                  { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "fanotify_init", { 0 },                      { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },

	/* kernel surface */
	{ "io_uring_setup", { 0 },                     { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "io_uring_enter", { 0 },                     { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "io_uring_register", { 0 },                  { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "bpf",          { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "perf_event_open", { 0 },                    { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "userfaultfd",  { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "keyctl",       { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "add_key",      { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "request_key",  { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "kexec_load",   { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "kexec_file_load", { 0 },                    { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "init_module",  { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "finit_module", { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "iopl",         { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "reboot",       { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "settimeofday", { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM) } },
	{ "syslog",       { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "sethostname",  { 0 },                       { NO(EPERM), NO(EPERM), NO(EPERM), NO(EPERM), OK } },
	{ "get_mempolicy", { 0 },                      { NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), OK } },
	{ "io_submit",    { 0 },                       { NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS) } },
	{ "modify_ldt",   { 0 },                       { NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), NO(ENOSYS), OK } },
};
/* clang-format on */

static uint32_t ask(enum which profile, int arch, const struct seccomp_data *call, unsigned *steps)
{
	const struct policy_filter *f = filters[profile][arch];
	uint32_t action = 0;
	struct error err = ERROR_INIT;

	if (policy_simulate(f->program, f->n_instructions, call, &action, steps, &err) < 0)
		diag("%s: %s", names[profile], err.text);
	return action;
}

static void compile(enum which w, int arch)
{
	struct policy_context context = { .kernel_major = 6, .kernel_minor = 1, .arch = arches[arch] };
	struct error err = ERROR_INIT;
	uint64_t before = clock_now_ns();

	need(policy_rules_build(profiles[w], &context, &rules[w][arch], &err) == 0 &&
		     policy_compile_rules(rules[w][arch], 0, &filters[w][arch], &err) == 0,
	     "%s compiles for %s %s", names[w], arch_names[arch], err.text);
	diag("%s for %s: %u instructions, %.2f ms", names[w], arch_names[arch], filters[w][arch]->n_instructions,
	     (double)(clock_now_ns() - before) / NS_PER_MS);
}

static void load(enum which w)
{
	struct error err = ERROR_INIT;
	bool is_clean = true, is_reasoned = true;

	is_str(policy_builtin_at(w)->name, names[w], "built-in profile %d is %s", w, names[w]);
	need(policy_lookup(names[w], &profiles[w], &err) == 0, "%s is read %s", names[w], err.text);
	for (size_t i = 0; i < profiles[w]->n_warnings; i++)
		is_clean = is_clean && profiles[w]->warnings[i].kind == POLICY_WARN_UNKNOWN_NAME;
	ok(is_clean, "%s: no warning but of names that this libseccomp does not know (%zu)", names[w],
	   profiles[w]->n_warnings);
	for (size_t i = 0; i < profiles[w]->n_rules; i++)
		is_reasoned = is_reasoned && profiles[w]->rules[i].comment && strlen(profiles[w]->rules[i].comment) > 4;
	ok(is_reasoned, "%s: every rule says why", names[w]);
	for (int arch = 0; arch < ARCHES; arch++)
		compile(w, arch);
}

/* One row of the table for every profile and architecture that has the call: one assertion. */
static void check_row(const struct verdict *v)
{
	char got[40], want[40];
	bool is_right = true;

	for (int i = 0; i < PROFILES * ARCHES; i++) {
		enum which w = (enum which)(i / ARCHES);
		struct seccomp_data call = { .arch = arches[i % ARCHES] };
		uint32_t action;

		call.nr = seccomp_syscall_resolve_name_arch(call.arch, v->call);
		memcpy(call.args, v->args, sizeof(v->args));
		if (call.nr < 0)
			continue;
		action = ask(w, i % ARCHES, &call, NULL);
		if (action == v->want[w])
			continue;
		is_right = false;
		diag("%s on %s: got %s, wanted %s", names[w], arch_names[i % ARCHES],
		     policy_action_name(action, got, sizeof(got)), policy_action_name(v->want[w], want, sizeof(want)));
	}
	ok(is_right, "%s(0x%llx, 0x%llx, 0x%llx)", v->call, (unsigned long long)v->args[0],
	   (unsigned long long)v->args[1], (unsigned long long)v->args[2]);
}

static void entries(enum which w)
{
	uint32_t unknown = w == UNCONFINED ? OK : NO(ENOSYS);
	struct seccomp_data call = { .arch = AUDIT_ARCH_X86_64 };

	for (unsigned i = 0; i < 3; i++) {
		static const unsigned x32[] = { 0, 1, 520 };

		call.nr = (int)(x32[i] | POLICY_X32_BIT);
		is_int(ask(w, X86, &call, NULL), KILL, "%s: x32 call %u kills", names[w], x32[i]);
	}
	call.nr = 100000;
	is_int(ask(w, X86, &call, NULL), unknown, "%s: a call that nobody knows", names[w]);
	call.arch = AUDIT_ARCH_I386;
	call.nr = 3;
	is_int(ask(w, X86, &call, NULL), KILL, "%s: an i386 call kills", names[w]);
	is_int(ask(w, ARM, &call, NULL), KILL, "%s: so it does on aarch64", names[w]);
}

/* ---- how the profiles differ ---- */

struct comparison {
	enum which narrow, wide;
	int arch;
	const char *const *expected; /* calls that may differ, to NULL */
	bool is_right;
};

/* Whatever the narrow profile answers, the wide one answers too, but for the calls expected, which only it allows. */
static int compare(const struct seccomp_data *call, void *arg)
{
	struct comparison *c = arg;
	uint32_t narrow = ask(c->narrow, c->arch, call, NULL), wide = ask(c->wide, c->arch, call, NULL);
	const char *const *name;

	if (narrow == wide)
		return 0;
	for (name = c->expected; *name; name++) {
		if (wide == OK && seccomp_syscall_resolve_name_arch(arches[c->arch], *name) == call->nr)
			return 0;
	}
	c->is_right = false;
	diag("call %d(0x%llx): 0x%x and 0x%x", call->nr, (unsigned long long)call->args[0], narrow, wide);
	return 0;
}

static void differ(enum which narrow, enum which wide, const char *const *expected, const char *title)
{
	for (int arch = 0; arch < ARCHES; arch++) {
		struct comparison c = {
			.narrow = narrow, .wide = wide, .arch = arch, .expected = expected, .is_right = true
		};

		(void)policy_rules_witness(rules[narrow][arch], compare, &c); /* compare never ends the walk */
		(void)policy_rules_witness(rules[wide][arch], compare, &c);
		ok(c.is_right, "%s (%s)", title, arch_names[arch]);
	}
}

/* strict refuses more than default, and allows nothing that default does not. */
static int never_wider(const struct seccomp_data *call, void *arg)
{
	bool *is_right = arg;

	if (ask(STRICT, X86, call, NULL) == OK && ask(DEFAULT, X86, call, NULL) != OK) {
		*is_right = false;
		diag("strict allows call %d(0x%llx, 0x%llx)", call->nr, (unsigned long long)call->args[0],
		     (unsigned long long)call->args[1]);
	}
	return 0;
}

static void differences(void)
{
	static const char *const for_net[] = { "socket", NULL };
	static const char *const for_build[] = { "chroot", NULL };
	bool is_right = true;

	differ(DEFAULT, NET, for_net, "net is default with more sockets, and nothing else");
	differ(NET, BUILD, for_build, "build is net with chroot, and nothing else");
	(void)policy_rules_witness(rules[STRICT][X86], never_wider, &is_right); /* never ends the walk */
	(void)policy_rules_witness(rules[DEFAULT][X86], never_wider, &is_right);
	ok(is_right, "strict allows nothing that default refuses");
}

/* ---- the kernel ---- */

/* In a child under the filter: 0 when every step was as it should be, else the number of the step. */
static int under_filter(const struct policy_filter *filter, int (*steps)(void))
{
	struct sock_fprog program = { .len = filter->n_instructions, .filter = filter->program };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(100);
		_exit(steps());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 101;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool fails(long r, int want)
{
	return r == -1 && errno == want;
}

static int call_things(void)
{
	if (!fails(syscall(SYS_unshare, 0x10000000), EPERM))
		return 1;
	if (!fails(syscall(SYS_clone3, 0, 0), ENOSYS))
		return 2;
	if (!fails(syscall(SYS_socket, 38 | GARBAGE, 5, 0), EAFNOSUPPORT))
		return 3;
	if (!fails(syscall(SYS_ioctl, 0, 0x5412 | GARBAGE, ""), EPERM))
		return 4;
	if (!fails(syscall(SYS_fcntl, 0, 1024 | GARBAGE, 0), EPERM))
		return 5;
	if (syscall(SYS_sync) != 0)
		return 6;
	if (!fails(syscall(5000), ENOSYS))
		return 7;
	if (syscall(SYS_personality, 0xffffffff) < 0 || syscall(SYS_getpid) <= 0)
		return 8;
	return 0;
}

static int call_x32(void)
{
	(void)syscall(SYS_getpid | POLICY_X32_BIT); /* does not come back */
	return 1;
}

static int run_shell(void)
{
	execl("/bin/sh", "sh", "-c", "test \"$(echo hello | cat)\" = hello", (char *)NULL);
	return 1;
}

static int run_one_shell(void)
{
	execl("/bin/sh", "sh", "-c", "test $((6 * 7)) = 42", (char *)NULL);
	return 1;
}

static void live(void)
{
	struct policy_context context;
	struct policy_filter *own[PROFILES];
	struct error err = ERROR_INIT;

	need(policy_context_host(0, &context, &err) == 0, "this machine has an architecture we know %s", err.text);
	for (int w = 0; w < PROFILES; w++) {
		own[w] = NULL;
		need(policy_compile(profiles[w], &context, &own[w], &err) == 0, "%s for this machine %s", names[w],
		     err.text);
	}
	is_int(under_filter(own[DEFAULT], call_things), 0, "the kernel answers as the interpreter does");
	if (context.arch == AUDIT_ARCH_X86_64)
		is_int(under_filter(own[UNCONFINED], call_x32), 128 + SIGSYS,
		       "an x32 call kills under unconfined, too");
	is_int(under_filter(own[DEFAULT], run_shell), 0, "a shell with a pipe runs under default");
	is_int(under_filter(own[NET], run_shell), 0, "under net");
	is_int(under_filter(own[BUILD], run_shell), 0, "under build");
	is_int(under_filter(own[UNCONFINED], run_shell), 0, "under unconfined");
	ok(under_filter(own[STRICT], run_shell) != 0, "but not under strict, which has no second process");
	is_int(under_filter(own[STRICT], run_one_shell), 0, "where one process alone computes");
	for (int w = 0; w < PROFILES; w++)
		policy_filter_unref(own[w]);
}

static void cost(void)
{
	static const char *const calls[] = { "read", "futex", "openat", "ioctl", "fcntl", "clone", "socket", "prctl" };

	for (int w = 0; w < PROFILES; w++) {
		char line[256] = "";

		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			struct seccomp_data call = { .nr = seccomp_syscall_resolve_name_arch(AUDIT_ARCH_X86_64,
											     calls[i]),
						     .arch = AUDIT_ARCH_X86_64 };
			unsigned steps = 0;

			(void)ask((enum which)w, X86, &call, &steps); /* the count is what matters */
			(void)snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s %u", calls[i], steps);
		}
		diag("%s: instructions per call:%s", names[w], line);
	}
}

int main(void)
{
	for (int w = 0; w < PROFILES; w++)
		load((enum which)w);
	ok(!policy_builtin_at(PROFILES), "there are no others");
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		check_row(&verdicts[i]);
	for (int w = 0; w < PROFILES; w++)
		entries((enum which)w);
	differences();
	cost();
	live();
	for (int w = 0; w < PROFILES; w++) {
		for (int arch = 0; arch < ARCHES; arch++) {
			policy_filter_unref(filters[w][arch]);
			policy_rules_free(rules[w][arch]);
		}
		policy_profile_free(profiles[w]);
	}
	return done_testing();
}
