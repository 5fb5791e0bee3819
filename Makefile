# Cubit: the one way in. `make help` lists the targets.
#
# Shape: every folder with C in it is one static library of that name; programs and tests are one rule each over
# wildcards, so adding a file needs no edit here. Objects live under build/, dependencies come from the compiler.
#
# Settable: CC CFLAGS PREFIX DESTDIR BUILD, V=1 (show commands), WERROR=1 (warnings are errors),
# SANITIZE=address,undefined (own build directory), T=name (one test).

.DEFAULT_GOAL := all
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

CC ?= cc
ifeq ($(origin CC),default)
CC := cc
endif
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
comma := ,
BUILD ?= build$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))$(if $(COVERAGE),/coverage)
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- what there is --------------------------------------------------------------------------------------------

LIBRARIES := base supervisor runtime netsetup policies images
DIR_base := runtime/base
DIR_runtime := runtime runtime/agent runtime/cgroup runtime/rootfs
DIR_netsetup := netsetup
DIR_policies := policies
DIR_images := images $(patsubst %/,%,$(wildcard images/*/))
DIR_supervisor := supervisor $(filter-out supervisor/daemon,$(patsubst %/,%,$(wildcard supervisor/*/)))
PROGRAMS := cubit cubit-fetch cubit-sandbox cubit-worker cubitd
DIR_cubit := tools/cubit
DIR_cubit-sandbox := tools/sandbox
DIR_cubit-fetch := tools/fetch
DIR_cubit-worker := tools/worker
DIR_cubitd := supervisor/daemon

# A library or a program that has no source yet is not built.
src = $(sort $(foreach d,$(1),$(wildcard $(d)/*.c)))
LIBRARIES := base supervisor runtime netsetup policies images
PROGRAMS := $(foreach p,$(PROGRAMS),$(if $(call src,$(DIR_$(p))),$(p)))
INIT_SRC := $(call src,runtime/init)
INIT_BASE := alloc error fd buf frame field_table clock
TEST_TIERS := unit root attack bench
# folders below a tier mirror the tree
TEST_SRC := $(foreach t,$(TEST_TIERS),$(call src,tests/$(t) $(foreach d,* */* */*/*,tests/$(t)/$(d))))
FUZZ_SRC := $(call src,tests/fuzz)

ALL_SRC := $(foreach l,$(LIBRARIES),$(call src,$(DIR_$(l)))) $(call src,policies/embed) $(foreach p,$(PROGRAMS),$(call src,$(DIR_$(p)))) \
	$(INIT_SRC) $(TEST_SRC) $(FUZZ_SRC) $(wildcard tests/*.c tests/support/*.c)
ALL_HDR := $(shell git ls-files -co --exclude-standard '*.h' 2>/dev/null)
ALL_SH := $(shell git ls-files -co --exclude-standard '*.sh' 2>/dev/null) \
	$(wildcard tools/setup tests/vm/guest tests/vm/machine tests/vm/release-root .ci/run tools/run tools/mkimage tools/what-stays \
		tools/as-caller tools/debian/make)

# ---- flags ----------------------------------------------------------------------------------------------------

# libcap, never libpsx: what drops capabilities has one thread
PKGS_runtime := ext2fs com_err libcap
PKGS_policies := libseccomp jansson libcap
PKGS_netsetup := libnl-3.0 libnl-route-3.0 libnftables
PKGS_supervisor := libuv sqlite3 libcurl libssl libcrypto hiredis jansson
PKGS_images := libcurl libcrypto libzstd libisal zlib libseccomp libcap
# llhttp: the library of the release where there is one; else compiled into ours from the C sources that Debian 12's
# package node-llhttp installs (strict: its lenient half is for clients of old servers)
LLHTTP_SHARE ?= /usr/share
LLHTTP_FROM := $(if $(shell pkg-config --modversion libllhttp 2>/dev/null),library,$(if $(wildcard \
	$(LLHTTP_SHARE)/llhttp/llhttp.c),sources,nowhere))
PKGS_supervisor += $(if $(filter library,$(LLHTTP_FROM)),libllhttp)
LLHTTP_CFLAGS := $(if $(filter sources,$(LLHTTP_FROM)),-DLLHTTP_STRICT_MODE=1 -isystem $(LLHTTP_SHARE)/include/llhttp)
PKGS := jansson $(sort $(foreach l,$(LIBRARIES),$(PKGS_$(l))))
# of one program alone: the client of WebSockets is no business of the daemon
PKGS_cubit := libwebsockets
# Short lives should not begin with loading libraries: these programs are static, as far as the libraries have a .a (isa-l has
# none) and no sanitizer's runtime is needed. --fatal-warnings: the C library warns of what looks for name services.
STATIC_cubit-sandbox := ext2fs com_err seccomp jansson cap crypto
STATIC_cubit-worker := seccomp cap crypto zstd z isal
has_archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a))
in_archives = $(foreach l,$(1),$(if $(call has_archive,$(l)),$(l)))
static_link = -Wl,--fatal-warnings $(if $(filter-out $(call in_archives,$(1) c),$(1) c),-pie -Wl$(comma)-Bstatic \
	$(patsubst %,-l%,$(call in_archives,$(1))) -Wl$(comma)-Bdynamic $(patsubst %,-l%,$(filter-out $(call in_archives,$(1)),$(1))),\
	-static-pie $(patsubst %,-l%,$(1)))
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(LLHTTP_CFLAGS)
# wslay comes without a pkg-config file
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) $(if $(filter supervisor,$(LIBRARIES)),-lwslay)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef -Wwrite-strings \
	-Wimplicit-fallthrough $(if $(filter 1,$(WERROR)),-Werror)
LANG_FLAGS := -std=gnu17 -D_GNU_SOURCE -I.
# _FORTIFY_SOURCE needs an optimising build; a CFLAGS=-O0 given by hand goes without
HARDEN := $(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3) -fstack-protector-strong
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COV := $(if $(COVERAGE),--coverage -fprofile-update=atomic)
# a section for each function: what a program does not use is not linked into it
cflags = $(LANG_FLAGS) $(WARN) $(HARDEN) -fPIE -ffunction-sections -fdata-sections $(PKG_CFLAGS) $(CFLAGS) $(SAN) $(COV)
ldflags = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections $(LDFLAGS) $(SAN) $(COV)
# pid 1 of a sandbox: static, no sanitizer runtime, dead code dropped. With musl: glibc's start asks the processor some sixty
# questions (cpuid, each an exit in a virtual machine), relocates its functions by the answers, and is ten times as large.
INIT_CC ?= musl-gcc
INIT_CFLAGS ?= $(CFLAGS)
INIT_KERNEL := $(BUILD)/init/kernel# the kernel's headers, apart from those of glibc beside them
init_cflags = $(LANG_FLAGS) $(WARN) $(HARDEN) -isystem $(INIT_KERNEL) -fno-pie -ffunction-sections -fdata-sections $(INIT_CFLAGS)
init_ldflags = -static -no-pie -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noseparate-code

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
init_obj = $(patsubst %.c,$(BUILD)/init/%.o,$(1))
# most dependent first, as a static link wants it
LIBS = $(foreach l,$(filter supervisor netsetup images policies runtime,$(LIBRARIES)),$(BUILD)/lib/lib$(l).a) $(BUILD)/lib/libbase.a

# what is built under sudo belongs to the one who called it
AS_CALLER = tools/as-caller $(BUILD)

# ---- building -------------------------------------------------------------------------------------------------

.PHONY: all
all: $(addprefix $(BUILD)/bin/,$(PROGRAMS) cubit-producer) ## build the programs

$(BUILD)/bin/cubit-producer: tools/producer/cubit-producer
	@mkdir -p $(@D)
	$(call say,CP,$@)
	$(Q)install -m 755 $< $@

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(cflags) -MMD -MP -c -o $@ $<

$(BUILD)/init/%.o: %.c Makefile | $(INIT_KERNEL)/linux
	@mkdir -p $(@D)
	$(call say,CC,$< (init))
	$(Q)$(INIT_CC) $(init_cflags) -MMD -MP -c -o $@ $<

$(INIT_KERNEL)/linux:
	@command -v $(firstword $(INIT_CC)) >/dev/null || { echo "$(INIT_CC), with which pid 1 of sandboxes is built, is missing:" \
		"tools/setup build installs it (INIT_CC='$(CC)' takes the system's C library: larger, and slower to start)" >&2; exit 1; }
	@mkdir -p $(@D)
	$(Q)for d in /usr/include /usr/include/$$($(CC) -print-multiarch); do for name in asm asm-generic linux; do \
		[ ! -d $$d/$$name ] || ln -sfn $$d/$$name $(@D)/$$name; done; done

# the list of members is a prerequisite too: a file that was taken away must leave the library
define library
$(BUILD)/lib/$(1).members: FORCE
	@mkdir -p $$(@D)
	@echo '$(call src,$(DIR_$(1)))' | cmp -s - $$@ || echo '$(call src,$(DIR_$(1)))' > $$@

$(BUILD)/lib/lib$(1).a: $(call obj,$(call src,$(DIR_$(1)))) $(EXTRA_$(1)) $(BUILD)/lib/$(1).members
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcsP $$@ $$(filter %.o,$$^)
endef

.PHONY: FORCE
FORCE:

# cubit-init travels inside the programs that start sandboxes: nothing to find at run time, nothing to swap
EXTRA_runtime := $(if $(INIT_SRC),$(BUILD)/obj/runtime/init_blob.o)
# and so do the built-in seccomp profiles, as text and as programs
EXTRA_policies := $(patsubst %,$(BUILD)/obj/policies/%.o,builtin_profiles compiler_id embedded_programs)
# and the definitions of languages
EXTRA_images := $(BUILD)/obj/images/languages/runtime_builtin.o
# llhttp, where it is no library
EXTRA_supervisor := $(if $(filter sources,$(LLHTTP_FROM)),$(patsubst %,$(BUILD)/obj/llhttp/%.o,api http llhttp))
# and texts of other languages: the description of the API, the scripts for Redis, the tables of databases
EXTRA_supervisor += $(patsubst %,$(BUILD)/obj/supervisor/%.o,daemon/openapi_json redis/lua_text queue/schema_text \
	auth/schema_text)
$(foreach l,$(LIBRARIES),$(eval $(call library,$(l))))

$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SHARE)/llhttp/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu17 $(HARDEN) -fPIE $(LLHTTP_CFLAGS) $(CFLAGS) $(SAN) -c -o $@ $<

$(BUILD)/obj/supervisor/http/request_head.o: | llhttp-$(LLHTTP_FROM)
.PHONY: llhttp-library llhttp-sources llhttp-nowhere
llhttp-library llhttp-sources:
llhttp-nowhere:
	@echo "llhttp is missing: neither 'pkg-config libllhttp' (Debian 13: libllhttp-dev) nor" \
		"$(LLHTTP_SHARE)/llhttp/llhttp.c (Debian 12: node-llhttp) is there; tools/setup build installs it" >&2; exit 1

$(BUILD)/bin/cubit-init: $(call init_obj,$(INIT_SRC) $(patsubst %,runtime/base/%.c,$(INIT_BASE)) runtime/loopback.c \
		$(wildcard runtime/agent/agent_proto.c))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(INIT_CC) $(init_ldflags) -o $@ $^
	$(Q)strip $@

$(BUILD)/obj/runtime/init_blob.o: runtime/init_blob.S $(BUILD)/bin/cubit-init
	@mkdir -p $(@D)
	$(Q)$(CC) -DINIT_IMAGE='"$(BUILD)/bin/cubit-init"' -c -o $@ $<

$(BUILD)/obj/policies/builtin_profiles.o: policies/builtin_profiles.S $(wildcard policies/profiles/*.json)
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

# Filters that were kept know by this which compiler made them.
POLICY_SRC := $(sort $(wildcard policies/*.c policies/*.h))
$(BUILD)/gen/policies/compiler_id.c: $(POLICY_SRC)
	@mkdir -p $(@D)
	$(Q)printf '#include "policies/stamp.h"\n\nconst char policy_compiler_id[] = "%s";\n' \
		"$$(cat $(POLICY_SRC) | sha256sum | cut -d' ' -f1)" > $@

# The built-in profiles are compiled now, by the compiler that the programs carry: all of policies/ but what it makes.
EMBED_OBJ := $(call obj,policies/embed/main.c $(filter-out $(addprefix policies/,embedded.c cache.c ready.c),$(call src,policies))) \
	$(BUILD)/obj/policies/builtin_profiles.o $(BUILD)/obj/policies/compiler_id.o
$(BUILD)/gen/embed-policies: $(EMBED_OBJ) $(BUILD)/lib/libbase.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ $(shell pkg-config --libs $(PKGS_policies))

$(BUILD)/gen/policies/embedded_programs.c: $(BUILD)/gen/embed-policies
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$< > $@

$(BUILD)/obj/policies/compiler_id.o $(BUILD)/obj/policies/embedded_programs.o: $(BUILD)/obj/policies/%.o: $(BUILD)/gen/policies/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -MMD -MP -c -o $@ $<

$(BUILD)/obj/supervisor/daemon/openapi_json.o: supervisor/daemon/openapi_json.S supervisor/daemon/openapi.json
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

# the directory as well: a definition that was taken away is a change too
$(BUILD)/gen/runtimes: images/runtimes $(wildcard images/runtimes/*.json)
	@mkdir -p $(@D)
	$(Q)for f in $(sort $(filter %.json,$^)); do printf '%s\0' "$$(basename $$f .json)"; cat $$f; printf '\0'; done > $@

$(BUILD)/obj/images/languages/runtime_builtin.o: images/languages/runtime_builtin.S $(BUILD)/gen/runtimes
	@mkdir -p $(@D)
	$(Q)$(CC) -DRUNTIMES='"$(BUILD)/gen/runtimes"' -c -o $@ $<

$(BUILD)/obj/supervisor/%/schema_text.o: supervisor/%/schema_text.S $(wildcard supervisor/*/sql/*.sql)
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

# a script behind the parts that its line `-- with:` names
LUA := $(wildcard supervisor/redis/lua/*.lua)
$(BUILD)/gen/redis/%.lua: supervisor/redis/lua/%.lua $(LUA)
	@mkdir -p $(@D)
	$(Q)cat $$(sed -n 's/^-- with://p' $< | xargs -rn 1 printf 'supervisor/redis/lua/%s.lua\n') $< > $@

$(BUILD)/obj/supervisor/redis/lua_text.o: supervisor/redis/lua_text.S $(LUA:supervisor/redis/lua/%=$(BUILD)/gen/redis/%)
	@mkdir -p $(@D)
	$(Q)$(CC) -Wa,-I$(BUILD)/gen/redis -c -o $@ $<

link_shared = $(ldflags) -o $@ $^ $(PKG_LIBS) $(if $(PKGS_$(@F)),$(shell pkg-config --libs $(PKGS_$(@F))))
link_static = $(filter-out -pie,$(ldflags)) -o $@ $^ $(call static_link,$(STATIC_$(@F)))

define program
$(BUILD)/bin/$(1): $(call obj,$(call src,$(DIR_$(1)))) $(LIBS)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(if $(SANITIZE),$$(link_shared),$$(if $$(STATIC_$(1)),$$(link_static),$$(link_shared)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# ---- tests ----------------------------------------------------------------------------------------------------

TEST_BIN := $(patsubst %.c,$(BUILD)/%,$(TEST_SRC))
FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(FUZZ_SRC))
SUPPORT_OBJ := $(call obj,$(wildcard tests/support/*.c))
PAYLOAD := $(if $(wildcard tests/payload.c),$(BUILD)/tests/payload)
test_link = $(CC) $(ldflags) -o $@ $(filter %.o %.a,$^) $(PKG_LIBS) -lpthread

# The program of a test that was moved or taken away must not be run, nor stand where a folder of tests goes.
.PHONY: tidy-tests
tidy-tests:
	@for t in $(TEST_TIERS); do [ ! -d $(BUILD)/tests/$$t ] || find $(BUILD)/tests/$$t -type f; done | sort \
		| comm -23 - <(printf '%s\n' $(TEST_BIN) | sort) | xargs -r rm -f

$(TEST_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(SUPPORT_OBJ) $(LIBS) | tidy-tests
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(test_link)

# A fuzz target replays its corpus when it is built without a fuzzer: part of every test run.
$(FUZZ_BIN): $(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz_replay.o $(LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(test_link)

# The program that sandboxes run in tests: static, so that a rootfs of one file is enough.
$(BUILD)/tests/payload: tests/payload.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$< (static))
	$(Q)$(CC) $(LANG_FLAGS) $(WARN) -O2 -static -MMD -MP -o $@ $< -lpthread

.PHONY: libs tests
libs: $(LIBS)

tests: all $(TEST_BIN) $(FUZZ_BIN) $(PAYLOAD) ## build the test programs

RUN_TESTS = CUBIT_BUILD=$(abspath $(BUILD)) tests/run $(if $(T),--only '$(T)')

.PHONY: check check-root check-e2e check-vm check-machine test
check: tests ## unit tests: no privilege, no network, seconds
	$(Q)$(RUN_TESTS) --tier unit --tier fuzz --tier driver

check-root: tests ## what needs root, on this machine
	$(Q)$(RUN_TESTS) --tier root --tier attack

check-e2e: tests ## against real peers: registries, skopeo, umoci, the package mirror
	$(Q)$(RUN_TESTS) --tier e2e

check-vm: tests ## what needs root, on a stock kernel 6.1 with pure cgroup v2
	$(Q)$(RUN_TESTS) --tier vm

check-machine: tests ## installed on whole Debian machines of both releases
	$(Q)$(RUN_TESTS) --tier machine

test: ## install what is missing, build, pass every test
	$(Q)tools/setup
	$(Q)$(AS_CALLER) $(MAKE) --no-print-directory -j$$(nproc) WERROR=1 all tests
	$(Q)$(RUN_TESTS) --must-run --patience 3 --tier unit --tier fuzz --tier driver --tier root --tier attack --tier e2e --tier vm

.PHONY: check-sanitized
SANITIZED := build/sanitize-address-undefined
check-sanitized: ## unit, fuzz-corpus and root tiers once more, under address and undefined sanitizers
	$(Q)$(MAKE) --no-print-directory SANITIZE=address,undefined tests
	$(Q)mkdir -p build/images-state # one set of images for both builds
	$(Q)[ -e $(SANITIZED)/images-state ] || ln -s ../images-state $(SANITIZED)/
	$(Q)CUBIT_BUILD=$(abspath $(SANITIZED)) tests/run $(if $(T),--only '$(T)') --tier unit --tier fuzz --tier root

.PHONY: fuzz
FUZZ_SECONDS ?= 60
fuzz: ## fuzz every parser of foreign bytes for FUZZ_SECONDS each
	$(Q)tools/setup build fuzz
	$(Q)tests/fuzz.sh $(FUZZ_SECONDS) $(T)

.PHONY: mutation
mutation: ## break features one at a time, in a copy: a named test notices each (T=word of its name)
	$(Q)tools/setup build test images e2e
	$(Q)CUBIT_BUILD=$(abspath $(BUILD)) CC='$(CC)' tests/mutation/run $(if $(T),'$(T)')

.PHONY: mutation-machine
mutation-machine: ## break the unit file a line at a time, on a whole machine (RELEASE=bookworm)
	$(Q)tools/setup build test images machine deb
	$(Q)CUBIT_BUILD=$(abspath $(BUILD)) tests/mutation/machine $(RELEASE)

.PHONY: bench
bench: ## timings as ratios, side by side with what else is installed
	$(Q)tools/setup build test bench images
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all tests
	$(Q)CUBIT_BUILD=$(abspath $(BUILD)) tests/bench.sh

.PHONY: coverage
coverage: ## lines that the unit and fuzz-corpus tests reach
	$(Q)$(MAKE) --no-print-directory COVERAGE=1 CFLAGS='-O0 -g' tests
	$(Q)$(MAKE) --no-print-directory COVERAGE=1 CFLAGS='-O0 -g' check
	$(Q)tests/coverage.sh $(BUILD)/coverage

# ---- run ------------------------------------------------------------------------------------------------------

.PHONY: run
run: ## install what is missing, build, and show Cubit at work
	$(Q)tools/run --check
	$(Q)tools/setup build test images
	$(Q)$(AS_CALLER) $(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)CUBIT_BUILD=$(abspath $(BUILD)) tools/run

# ---- tidiness -------------------------------------------------------------------------------------------------

.PHONY: lint shell-check format format-check hdr-check compile_commands.json
lint: compile_commands.json ## clang-tidy, cppcheck, shellcheck
	$(Q)tools/setup build lint
	$(Q)printf '%s\n' $(ALL_SRC) | xargs -P"$$(nproc)" -n 4 clang-tidy --quiet -p $(BUILD) 2>&1 \
		| { grep -vE 'warnings? generated|^$$' || true; } | tee $(BUILD)/lint.txt; ! grep -qE ' (warning|error): ' $(BUILD)/lint.txt
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j"$$(nproc)" \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -D_GNU_SOURCE -I. $(ALL_SRC)
	$(Q)$(MAKE) --no-print-directory shell-check
	@echo 'lint: clean'

shell-check: ## shellcheck over every script
	$(Q)printf '%s\n' $(ALL_SH) | xargs -P"$$(nproc)" -n 12 shellcheck -x

format: ## clang-format over every C file
	$(Q)clang-format -i $(sort $(ALL_SRC) $(ALL_HDR))

format-check: ## is every C file as clang-format (of Debian 12) writes it?
	$(Q)printf '%s\n' $(sort $(ALL_SRC) $(ALL_HDR)) | xargs -P"$$(nproc)" -n 20 clang-format --dry-run --Werror

hdr-check: ## every header compiles alone; includes point one way
	$(Q)CC='$(CC)' FLAGS='$(LANG_FLAGS) $(WARN) -Werror $(PKG_CFLAGS)' tests/hdr-check.sh $(ALL_HDR)

compile_commands.json: ## for editors and clang-tidy
	@mkdir -p $(BUILD)
	$(Q){ echo '['; sep=; for f in $(ALL_SRC); do \
		printf '%s{"directory":"%s","file":"%s","arguments":["cc"' "$$sep" '$(CURDIR)' "$$f"; \
		printf ',"%s"' $(LANG_FLAGS) $(PKG_CFLAGS) -c "$$f"; printf ']}\n'; sep=,; done; echo ']'; } \
		> $(BUILD)/compile_commands.json
	$(Q)ln -sf $(BUILD)/compile_commands.json compile_commands.json

# ---- install --------------------------------------------------------------------------------------------------

MAN := $(wildcard docs/man/*.[1-8])
UNIT_DIR ?= $(PREFIX)/lib/systemd/system
# What a systemd of this version understands is switched on in the units: a line `#@254 Key=value` there
SYSTEMD_VERSION ?= $(shell { systemctl --version || dpkg-query -W -f 'systemd $${Version}' libsystemd0; } 2>/dev/null \
	| awk 'NR == 1 { print int($$2) }')

UNITS := $(wildcard tools/systemd/*.service)
LIBEXEC := $(DESTDIR)$(PREFIX)/libexec/cubit
# Services are those of this machine only when that is where we install, and systemd runs it.
SYSTEMCTL := $(if $(DESTDIR),,$(if $(wildcard /run/systemd/system),$(shell command -v systemctl)))

.PHONY: install uninstall
install: ## into DESTDIR and PREFIX: programs, image recipes, profiles, man pages, systemd units
	$(Q)$(AS_CALLER) $(MAKE) --no-print-directory all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man $(DESTDIR)$(UNIT_DIR) \
		$(DESTDIR)$(PREFIX)/share/cubit/policies $(LIBEXEC)/recipes
	install -m 755 $(addprefix $(BUILD)/bin/,$(PROGRAMS) cubit-producer) $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(BUILD)/bin/cubit completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cubit
	install -m 755 tools/mkimage $(LIBEXEC)/
	install -m 644 $(wildcard tools/recipes/*.sh tools/recipes/*.py) $(LIBEXEC)/recipes/
	ln -sf ../libexec/cubit/mkimage $(DESTDIR)$(PREFIX)/bin/cubit-mkimage
	for p in $(wildcard policies/profiles/*.json); do \
		install -m 644 $$p $(DESTDIR)$(PREFIX)/share/cubit/policies/ || exit 1; done
	for m in $(MAN); do d=$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; install -d $$d && install -m 644 $$m $$d/ || exit 1; done
	for u in $(UNITS); do awk -v version='$(SYSTEMD_VERSION)' -v bindir='$(PREFIX)/bin' -f tools/systemd/unit.awk \
		$$u > $(DESTDIR)$(UNIT_DIR)/$${u##*/} || exit 1; done
	install -D -m 644 tools/systemd/cubit.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/cubit.conf
	install -D -m 644 tools/systemd/cubit.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/cubit.conf
	@[ -n "$(DESTDIR)" ] || getent passwd cubit >/dev/null || ! command -v systemd-sysusers >/dev/null || systemd-sysusers
	$(if $(SYSTEMCTL),$(SYSTEMCTL) daemon-reload)

uninstall: ## stop the service, take away what install put there, say what stays
	$(if $(SYSTEMCTL),-$(SYSTEMCTL) disable --now $(notdir $(UNITS)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGRAMS) cubit-producer cubit-mkimage) \
		$(addprefix $(DESTDIR)$(UNIT_DIR)/,$(notdir $(UNITS))) $(DESTDIR)$(PREFIX)/lib/sysusers.d/cubit.conf \
		$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/cubit.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/cubit $(LIBEXEC) $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cubit
	for m in $(MAN); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
	$(if $(SYSTEMCTL),$(SYSTEMCTL) daemon-reload)
	@DESTDIR='$(DESTDIR)' tools/what-stays

.PHONY: deb
deb: ## a Debian package of this machine's release: build/deb/cubit_*.deb
	$(Q)tools/setup build deb
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)tools/debian/make '$(CURDIR)' '$(abspath $(BUILD))'

.PHONY: clean help
clean: ## remove what was built (the downloaded test kernel stays: make distclean)
	rm -rf $(filter-out build/vm,$(wildcard build/*)) compile_commands.json

.PHONY: distclean
distclean: ## remove everything that is not in git
	rm -rf build compile_commands.json

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9_.-]+:.*## / { n = split($$1, t, " "); printf "  %-22s %s\n", t[1], $$2 }' $(MAKEFILE_LIST)

-include $(shell find $(BUILD)/obj $(BUILD)/init $(BUILD)/tests -type f -name '*.d' 2>/dev/null)
