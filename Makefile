# make                 builds module and command for $(LUA), in build/
# make demo            prints a table of users from a mock Partner API
# make test            runs lint, fuzzers and specs, with a build for each Lua
# make install         installs module, command, types and man page for $(LUA) under $(DESTDIR)$(PREFIX)
# make help            lists all targets

LUA ?= lua5.4
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
WERROR ?=
# The compiler for programs that run during the build. Set it if CC is a cross compiler.
CC_FOR_BUILD ?= $(CC)

# V=1 prints whole commands; otherwise, each command prints one short line.
ifeq ($(V),1)
SAY = @:
RUN =
else
SAY = @$(if $(findstring s,$(firstword -$(MAKEFLAGS))),:,printf '%-3s %s\n')
RUN = @
endif

# $(call once,NAME,VALUE): VALUE, evaluated only once, when NAME is first used.
once = $(eval $(1) := $(2))$($(1))

# ---- Lua ----

# The version that the interpreter prints or, if it cannot be run, the one in its name (luajit, lua5.4, lua54, lua-5.4).
LUA_VERSION = $(call once,LUA_VERSION,$(or $(shell $(LUA) -e 'print((_VERSION:gsub("Lua ", "")))' 2>/dev/null),$\
  $(if $(findstring luajit,$(LUA)),5.1),$\
  $(shell echo '$(notdir $(LUA))' | sed -n 's/^lua-*\([0-9]\)\.*\([0-9]\)$$/\1.\2/p'),$\
  $(error $(LUA) is missing, or no Lua: install lua5.4 or another one, and give its name or path as LUA)))

# LuaRocks sets LUA_INCDIR to the folder of Lua's headers. Otherwise tools/lua_cflags.sh looks for them.
ifdef LUA_INCDIR
LUA_CFLAGS := -I$(LUA_INCDIR)
BUILD := build/headers$(subst /,-,$(LUA_INCDIR))$(VARIANT)
else
LUA_CFLAGS = $(call once,LUA_CFLAGS,$(call ask,PKG_CONFIG='$(PKG_CONFIG)' tools/lua_cflags.sh '$(LUA)' '$(LUA_VERSION)'))
BUILD := build/$(subst /,-,$(LUA:/%=%))$(VARIANT)
endif

# $(call ask,COMMAND): the output of a command. If it fails, make stops with that output, including standard error.
ask = $(call ask_check,$(shell $(1) 2>&1 || echo failed:))
ask_check = $(if $(filter failed:,$(1)),$(error $(filter-out failed:,$(1))),$(1))

# ---- libcurl ----

# LuaRocks sets CURL_INCDIR and CURL_LIBDIR. Otherwise pkg-config finds libcurl, or else the compiler's default folders
# are used.
CURL_CFLAGS = $(call once,CURL_CFLAGS,$(if $(CURL_INCDIR),-I$(CURL_INCDIR),$\
  $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null)))
CURL_LIBS = $(call once,CURL_LIBS,$(if $(CURL_LIBDIR),-L$(CURL_LIBDIR) -lcurl,$\
  $(or $(shell $(PKG_CONFIG) --libs libcurl 2>/dev/null),-lcurl)))

# ---- flags ----

MODULE := $(BUILD)/podero.so
SOURCES := $(sort $(wildcard src/core/*.c src/core/*/*.c src/lua/*.c))
HEADERS := $(sort $(wildcard src/*.h src/core/*.h src/core/*/*.h src/lua/*.h))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/%.o)
# C modules of the command: podero.command.NAME.
COMMAND_SOURCES := $(sort $(wildcard src/command/*.c))
COMMAND_OBJECTS := $(COMMAND_SOURCES:src/%.c=$(BUILD)/%.o)
COMMAND_MODULES := $(COMMAND_SOURCES:src/%.c=$(BUILD)/podero/%.so)
EMBEDDED := $(patsubst src/lua/%.lua,$(BUILD)/%.inc,$(sort $(wildcard src/lua/*.lua)))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes

# The flags of this list that the compiler accepts without a warning, together with CPPFLAGS and CFLAGS. A flag that
# conflicts with those of a packager is left out.
HARDENING = $(call once,HARDENING,$(foreach flag,-fstack-protector-strong -fstack-clash-protection \
  -fcf-protection -mbranch-protection=standard -D_FORTIFY_SOURCE=3,$(call accepted,$(flag))))
accepted = $(shell $(CC) -Werror $(1) $(CPPFLAGS) $(CFLAGS) -include string.h -x c -c -o /dev/null /dev/null \
  2>/dev/null && echo '$(1)')

# _DEFAULT_SOURCE declares POSIX functions and getentropy in addition to those of C11.
ALL_CFLAGS = -std=c11 -D_DEFAULT_SOURCE -fPIC -fvisibility=hidden -Isrc -I$(BUILD) $(WARNINGS) $(WERROR) \
  $(LUA_CFLAGS) $(CURL_CFLAGS) $(HARDENING) $(CPPFLAGS) $(CFLAGS)
# Flags for modules and programs of the specs, which export functions.
SPEC_CFLAGS = $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) -Wno-pedantic

ifeq ($(shell uname -s),Darwin)
LIBFLAG ?= -bundle -undefined dynamic_lookup
else
LIBFLAG ?= -shared
# -z nodelete: never unload the module, since a resolver thread of libcurl may outlive the Lua state.
MODULE_LDFLAGS := -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now
endif

# ---- build ----

.PHONY: all objects clean FORCE
all: $(MODULE) $(COMMAND_MODULES)
objects: $(OBJECTS) $(COMMAND_OBJECTS)

$(MODULE): $(OBJECTS)
	$(SAY) LD $@
	$(RUN)$(CC) $(LIBFLAG) $(MODULE_LDFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(CURL_LIBS) -lm -lpthread

$(COMMAND_MODULES): $(BUILD)/podero/command/%.so: $(BUILD)/command/%.o
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(RUN)$(CC) $(LIBFLAG) $(LDFLAGS) -o $@ $^ -lm

# Objects that it shares with the module podero.
$(BUILD)/podero/command/rows.so: $(addprefix $(BUILD)/,core/buffer.o core/number.o core/rfc3339.o \
  lua/user_schema.o)
$(BUILD)/podero/command/syntax.so: $(BUILD)/core/syntax.o

$(BUILD)/%.o: src/%.c $(BUILD)/flags Makefile
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(RUN)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d) $(COMMAND_OBJECTS:.o=.d)

quote = '$(subst ','\'',$(1))'
BUILD_COMMAND = $(call quote,$(CC) $(ALL_CFLAGS) $(LIBFLAG) $(LDFLAGS) $(CURL_LIBS))

# Contains the command that compiles; all objects depend on it. It is written again if the command has changed, after
# checking that everything the command needs is there.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@[ "$$(cat $@ 2>/dev/null)" = $(BUILD_COMMAND) ] || { $(requirements); printf '%s\n' $(BUILD_COMMAND) >$@; }

# Fails with a message if the compiler or the headers of Lua or libcurl are missing, or with the compiler's own message
# if it does not know a flag. (A compiler may end before it has read its input; the shell's message about that is
# dropped.)
requirements = command -v $(firstword $(CC)) >/dev/null || { \
    echo 'the C compiler $(firstword $(CC)) is missing: install gcc, or give CC' >&2; exit 1; }; \
  $(CC) $(CPPFLAGS) $(CFLAGS) -E -x c /dev/null >/dev/null || exit 1; \
  printf '%s\n' '\#include <lua.h>' '\#if LUA_VERSION_NUM != $(subst .,0,$(LUA_VERSION))' '\#error' '\#endif' \
    2>/dev/null | $(CC) $(LUA_CFLAGS) $(CPPFLAGS) $(CFLAGS) -E - >/dev/null 2>&1 || { \
    echo '$(LUA) is Lua $(LUA_VERSION): its headers are not found with $(strip $(LUA_CFLAGS)), give LUA_INCDIR' >&2; exit 1; }; \
  echo '\#include <curl/curl.h>' 2>/dev/null | $(CC) $(CURL_CFLAGS) $(CPPFLAGS) $(CFLAGS) -E - >/dev/null 2>&1 || { \
    echo 'the headers of libcurl are missing: install libcurl4-openssl-dev (Debian'\''s name), or give CURL_INCDIR' >&2; \
    exit 1; }

# The Lua files of src/lua are compiled into the module.
$(BUILD)/lua/methods.o $(BUILD)/lua/mock.o: $(EMBEDDED)
$(BUILD)/%.inc: src/lua/%.lua $(BUILD)/embed
	$(SAY) GEN $@
	$(RUN)$(BUILD)/embed <$< >$@

$(BUILD)/embed: tools/embed.c $(BUILD)/flags
	$(SAY) CC $<
	$(RUN)$(CC_FOR_BUILD) -o $@ $<

# A module with only the JSON reader, the decoders and the redaction of secrets, for specs and benchmarks.
DECODER := $(BUILD)/decoder.so
.PHONY: decoder
decoder: $(DECODER)

$(DECODER): spec/support/decoder.c $(addprefix $(BUILD)/,core/casefold.o core/json.o core/number.o \
  core/buffer.o core/failure.o core/oauth2/redact.o core/utf8.o lua/argument.o lua/decode_error.o \
  lua/json_value.o lua/text_buffer.o lua/user_decoder.o lua/user_filter.o lua/user_record.o lua/user_schema.o \
  lua/user_table.o)
	$(SAY) LD $@
	$(RUN)$(CC) $(SPEC_CFLAGS) $(LIBFLAG) $(LDFLAGS) -Wl,--wrap=malloc -o $@ $^ -lm

# The module, with allocations that specs can make fail.
ALLOCATIONS := $(BUILD)/allocations.so
.PHONY: allocations
allocations: $(ALLOCATIONS)

comma := ,
$(ALLOCATIONS): spec/support/allocations.c $(OBJECTS) $(BUILD)/command/rows.o
	$(SAY) LD $@
	$(RUN)$(CC) $(filter-out -Wno-pedantic,$(SPEC_CFLAGS)) $(LIBFLAG) $(MODULE_LDFLAGS) $(LDFLAGS) \
	  $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup free) \
	  -o $@ $^ $(CURL_LIBS) -lm -lpthread

clean:
	rm -rf --one-file-system build

# ---- install ----

PREFIX ?= /usr/local
# The folders in which this version of Lua looks for C modules and for Lua modules.
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
INST_BINDIR ?= $(PREFIX)/bin
INST_MANDIR ?= $(PREFIX)/share/man
# Type annotations for editors: set workspace.library of the Lua language server to this folder.
INST_TYPESDIR ?= $(PREFIX)/share/podero/types

# Where shells look for completions.
INST_BASHDIR ?= $(PREFIX)/share/bash-completion/completions
INST_ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
INST_FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d

.PHONY: install install-module install-command uninstall rock
install: install-module install-command
	$(RUN)install -d "$(DESTDIR)$(INST_MANDIR)/man1" "$(DESTDIR)$(INST_TYPESDIR)/podero"
	$(RUN)install -m 644 docs/podero.1 "$(DESTDIR)$(INST_MANDIR)/man1/podero.1"
	$(RUN)install -m 644 types/podero.lua "$(DESTDIR)$(INST_TYPESDIR)/podero.lua"
	$(RUN)install -m 644 types/podero/mock.lua "$(DESTDIR)$(INST_TYPESDIR)/podero/mock.lua"
	$(RUN)install -d $(foreach shell,BASH ZSH FISH,"$(DESTDIR)$(INST_$(shell)DIR)")
	$(RUN)install -m 644 packaging/completions/podero.bash "$(DESTDIR)$(INST_BASHDIR)/podero"
	$(RUN)install -m 644 packaging/completions/_podero "$(DESTDIR)$(INST_ZSHDIR)/_podero"
	$(RUN)install -m 644 packaging/completions/podero.fish "$(DESTDIR)$(INST_FISHDIR)/podero.fish"

install-module: $(MODULE)
	$(SAY) INSTALL "$(DESTDIR)$(INST_LIBDIR)/podero.so"
	$(RUN)install -d "$(DESTDIR)$(INST_LIBDIR)"
	$(RUN)install -m 755 $(MODULE) "$(DESTDIR)$(INST_LIBDIR)/podero.so"

install-command: $(COMMAND_MODULES)
	$(SAY) INSTALL "$(DESTDIR)$(INST_BINDIR)/podero"
	$(RUN)install -d "$(DESTDIR)$(INST_LUADIR)/podero/command/commands" "$(DESTDIR)$(INST_BINDIR)"
	$(RUN)install -m 644 src/command/*.lua "$(DESTDIR)$(INST_LUADIR)/podero/command"
	$(RUN)install -m 644 src/command/commands/*.lua "$(DESTDIR)$(INST_LUADIR)/podero/command/commands"
	$(if $(COMMAND_MODULES),$(RUN)install -d "$(DESTDIR)$(INST_LIBDIR)/podero/command" && \
	  install -m 755 $(COMMAND_MODULES) "$(DESTDIR)$(INST_LIBDIR)/podero/command")
	$(RUN){ printf '%s\n' '#!$(COMMAND_LUA)' $(COMMAND_PATHS) && \
	  sed 1d src/command/podero; } >"$(DESTDIR)$(INST_BINDIR)/podero"
	$(RUN)chmod 755 "$(DESTDIR)$(INST_BINDIR)/podero"

# The interpreter in the first line of the installed command, and the lines after it: the command finds its modules
# wherever they are installed, and before any others.
COMMAND_LUA ?= $(if $(findstring /,$(LUA)),$(abspath $(LUA)),/usr/bin/env $(LUA))
COMMAND_PATHS = $(call quote,package.path = [==[$(call absolute,$(INST_LUADIR))/?.lua;]==] .. package.path) \
  $(call quote,package.cpath = [==[$(call absolute,$(INST_LIBDIR))/?.so;]==] .. package.cpath)
# Unlike abspath, this also works for names with spaces.
absolute = $(if $(filter /%,$(1)),,$(CURDIR)/)$(1)

# Removes what `make install` has installed with the same variables.
uninstall:
	$(SAY) RM "$(DESTDIR)$(INST_LIBDIR)/podero.so"
	$(SAY) RM "$(DESTDIR)$(INST_BINDIR)/podero"
	$(RUN)rm -f "$(DESTDIR)$(INST_LIBDIR)/podero.so" "$(DESTDIR)$(INST_BINDIR)/podero" \
	  "$(DESTDIR)$(INST_MANDIR)/man1/podero.1" "$(DESTDIR)$(INST_TYPESDIR)/podero.lua" \
	  "$(DESTDIR)$(INST_TYPESDIR)/podero/mock.lua" \
	  "$(DESTDIR)$(INST_BASHDIR)/podero" "$(DESTDIR)$(INST_ZSHDIR)/_podero" "$(DESTDIR)$(INST_FISHDIR)/podero.fish"
	$(RUN)rm -rf "$(DESTDIR)$(INST_LUADIR)/podero/command" "$(DESTDIR)$(INST_LIBDIR)/podero/command"
	$(RUN)for folder in "$(DESTDIR)$(INST_LUADIR)/podero" "$(DESTDIR)$(INST_LIBDIR)/podero" "$(DESTDIR)$(INST_TYPESDIR)/podero" \
	  "$(DESTDIR)$(INST_TYPESDIR)" \
	  "$(DESTDIR)$(PREFIX)/share/podero"; do [ ! -d "$$folder" ] || rmdir "$$folder" 2>/dev/null || true; done

# Debian packages of the module and the command, in build/deb.
.PHONY: deb
deb: packages-deb
	@packaging/deb.sh build/deb

# Installs the Debian packages in a chroot with Debian 12, uses them, and removes them. Must be run as root.
.PHONY: test-deb
test-deb: packages-test-deb deb
	@$(AGAIN) -s -j$(JOBS) LUA=lua5.4 WERROR=-Werror all
	@BUSTED=spec/deb/packages.lua spec/support/run.sh lua5.4

# For LuaRocks: builds in a temporary folder, so that `sudo luarocks make` leaves no files of root in build/. LuaRocks
# itself copies the folders docs and types, and starts the command with its own paths.
rock:
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && trap 'exit 1' HUP INT TERM && \
	  $(MAKE) --no-print-directory BUILD="$$folder" COMMAND_PATHS= install-module install-command

# ---- development ----

# The Luas for specs; with Lua 5.5, which distributions do not have yet, if it is installed with what the specs need.
LUAS ?= lua5.4 luajit lua5.1 lua5.2 lua5.3 $(call once,LUA_5_5,$(shell lua5.5 -e \
  'require "busted" require "cjson" require "socket"' 2>/dev/null && echo lua5.5))
JOBS ?= $(call once,JOBS,$(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))
# Runs make again, for another Lua or variant.
AGAIN := $(MAKE) --no-print-directory

.PHONY: help demo demo-nginx test test-browser test-debian13 test-sid specs spec spec-modules mutants lint
help:
	@echo 'Build and install, for LUA=$(LUA)'
	@echo '  make              builds module and command, in build/; V=1 prints whole'
	@echo '                    commands'
	@echo '  make install      PREFIX=$(PREFIX) DESTDIR='
	@echo '  make uninstall    removes what `make install` has installed with the same'
	@echo '                    variables'
	@echo '  make clean        removes build/'
	@echo 'See it run, with a mock Partner API'
	@echo '  make demo         prints a table of users'
	@echo '  make demo-nginx   serves the site of examples/nginx'
	@echo 'Test'
	@echo '  make test         runs lint, builds with warnings as errors, each fuzzer for'
	@echo '                    eight seconds, and the specs for LUAS='
	@echo '                    $(LUAS)'
	@echo '  make specs        runs the specs only'
	@echo '  make spec FILE=spec/get_spec.lua'
	@echo '                    builds for LUA, and runs one file; FILE may also have'
	@echo '                    options of busted'
	@echo '  make test-browser tests the documentation and the site of examples/nginx in'
	@echo '                    Chromium, with axe-core'
	@echo '  make test-poll    runs the specs of a build without epoll and eventfd'
	@echo '  make test-foreign runs some specs on s390x, arm64 and armhf, with qemu (as'
	@echo '                    root)'
	@echo '  make deb          builds Debian packages, in build/deb, and checks them with'
	@echo '                    lintian'
	@echo '  make test-deb     installs, uses and removes them in a chroot (as root)'
	@echo '  make test-debian13, make test-sid'
	@echo '                    run demos and specs in a chroot with Debian 13 or sid (as'
	@echo '                    root)'
	@echo '  make lint         runs the checks of make test that need no build'
	@echo 'Check'
	@echo '  make check        runs analyzers, builds for musl and 32 bits, sanitizers and'
	@echo '                    valgrind'
	@echo '  make analyze, make check-musl, make check-32, make sanitize, make valgrind,'
	@echo '  make lint-docker'
	@echo '                    are the parts of make check'
	@echo '  make coverage     measures how much of src the specs execute; fails below 98 %'
	@echo '                    of lines or 90 % of branches'
	@echo '  make mutants      breaks lines of the code, one at a time, and checks that a'
	@echo '                    spec fails each time; MUTANTS="core/http nginx" for those'
	@echo '                    files and specs only'
	@echo '  make fuzz         runs each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo '  make soak         makes calls of all kinds for SOAK_SECONDS=600; fails if'
	@echo '                    memory or open descriptors grow'
	@echo '  make soak-nginx   reads lists in nginx under eight kinds of load, each for'
	@echo '                    SOAK_SECONDS=60; fails if a list is not complete'
	@echo '  make chaos-nginx  makes calls in nginx for SOAK_SECONDS=60 while the API'
	@echo '                    fails, requests are aborted and nginx reloads; then checks'
	@echo '                    its memory after 200,000 calls'
	@echo 'Measure and document'
	@echo '  make bench        measures, and writes bench/RESULTS.md'
	@echo '  make bench-nginx  measures in nginx, and writes bench/RESULTS-nginx.md'
	@echo '  make docs         makes the documentation site, in build/docs'
	@echo '  make picture, make picture-nginx'
	@echo '                    record the pictures of the documentation again'
	@echo '  make completions  writes packaging/completions, from the options of the'
	@echo '                    command'
	@echo '  make casefold-table'
	@echo '                    writes src/core/casefold_table.h, from Unicode'"'"'s data'
	@echo '  make format       runs clang-format'
	@echo 'Targets that need packages install them on Debian and its derivatives, and print'
	@echo 'their names; with INSTALL_PACKAGES=no they only print the names.'

packages-%:
	@.ci/packages $*

# Runs the installed command, for demonstrations and recordings.
INSTALLED = PATH="$(CURDIR)/build/demo/bin:$$PATH"
.PHONY: installed
installed:
	@$(AGAIN) -s LUA=lua5.4 install PREFIX="$(CURDIR)/build/demo" DESTDIR=

demo: packages-demo
	@$(AGAIN) -s installed
	@$(INSTALLED) lua5.4 spec/support/demo.lua

# Records the terminal session that README.md shows.
picture: packages-picture installed
	@$(INSTALLED) lua5.4 tools/picture.lua

picture-nginx: packages-picture-nginx
	@$(AGAIN) -s LUA=luajit all
	lua5.4 tools/picture_nginx.lua

demo-nginx: packages-demo-nginx
	@$(AGAIN) -s LUA=luajit all
	@exec lua5.4 spec/support/demo_nginx.lua

test: packages-test
	@$(AGAIN) lint
	@$(AGAIN) spec-modules
	@$(AGAIN) fuzz FUZZ_SECONDS=8
	@$(AGAIN) specs

# Builds the modules that the specs load, for each Lua.
spec-modules:
	@for lua in $(LUAS); do $(AGAIN) -j$(JOBS) LUA=$$lua WERROR=-Werror all decoder allocations || exit 1; done

specs:
	@spec/support/run.sh $(LUAS)

# axe-core is installed into the build folder; it is not part of what is published.
AXE := axe-core@4.14.1
test-browser: packages-test-browser
	@$(AGAIN) -s LUA=luajit WERROR=-Werror all
	@[ -e build/browser/node_modules/axe-core/axe.min.js ] || \
	  npm install --prefix build/browser --no-save --no-audit --no-fund --ignore-scripts --silent $(AXE) || \
	  { echo '$(AXE) cannot be installed with npm, and without it the site cannot be tested in a browser' >&2; exit 1; }
	@BUSTED=spec/browser/site.lua spec/support/run.sh luajit
	@$(AGAIN) docs
	@BUSTED=spec/browser/documentation.lua spec/support/run.sh luajit

# In a chroot with another release of Debian, on a copy of this checkout.
test-debian13: packages-test-debian13
	@tools/debian.sh trixie

test-sid: packages-test-sid
	@tools/debian.sh sid

# Builds and tests on Linux the code for systems without epoll, eventfd, SOCK_CLOEXEC, -z nodelete and /proc.
POLL_LUAS ?= lua5.4 luajit
POLL_VARIANT = VARIANT=-poll CPPFLAGS='$(CPPFLAGS) -DPODERO_POSIX_ONLY' MODULE_LDFLAGS='-Wl,-z,relro -Wl,-z,now'
.PHONY: test-poll
test-poll: packages-test
	@for lua in $(POLL_LUAS); do \
	  $(AGAIN) -j$(JOBS) LUA=$$lua WERROR=-Werror $(POLL_VARIANT) all decoder allocations || exit 1; done
	@VARIANT=-poll PODERO_TEST_PROC=/nowhere spec/support/run.sh $(POLL_LUAS)

# On other architectures: big-endian, ARM, and 32 bits.
FOREIGN ?= s390x arm64 armhf
.PHONY: test-foreign
test-foreign: packages-test-foreign
	@for architecture in $(FOREIGN); do tools/foreign.sh $$architecture || exit 1; done

spec: packages-test
	$(if $(FILE),,$(error FILE is missing: make spec FILE=spec/get_spec.lua))
	$(if $(wildcard $(firstword $(FILE))),,$(error there is no $(firstword $(FILE))))
	@$(AGAIN) -s -j$(JOBS) LUA=$(LUA) WERROR=-Werror all decoder allocations
	@BUSTED='$(FILE)' spec/support/run.sh $(LUA)

# Breaks lines of the code, one at a time, and checks that a spec fails each time.
mutants: packages-test
	@lua5.4 spec/mutants/run.lua $(MUTANTS)

lint:
	@luacheck --quiet $(LUA_FILES)
	@$(call forbid,libcurl outside src/core/http,<curl/,src,src/core/http/)
	@$(call forbid,the internal header of src/core/http elsewhere,"core/http/internal,src,src/core/http/)
	@$(call forbid,Lua outside src/lua and src/command,[<"](lua/|lua\.h|lauxlib|lualib),src,src/(lua|command)/)
	@$(call forbid,an upward include in src/core/loop,"core/(http|oauth2|retry|session|call),src/core/loop)
	@$(call forbid,an upward include in src/core/http,"core/(oauth2|retry|session|call),src/core/http)
	@$(call forbid,an upward include in src/core/oauth2,"core/(session|call),src/core/oauth2 $(wildcard src/core/retry.*))
	@$(call forbid,an upward include in src/core/session,"core/call,$(wildcard src/core/session.*))
	@$(call forbid,an upward include in src/core,"core/(http|loop|oauth2|session|call),$(BASE))
	@! grep -rnE 'static const char [a-z_]*key;' src/lua || { echo 'a registry key must not be const: its address may be shared' >&2; exit 1; }

# The Lua files of the checkout. luacheck itself would also search the chroots in build/, even if they are excluded.
LUA_FILES = $(shell find . -path ./build -prune -o -path ./.git -prune -o -name '*.lua' -print | sort)

# Fails with the message $1 if a file in $3, except those in $4, has an #include that matches $2.
forbid = ! grep -rnE '^ *\# *include *$(2)' $(3) $(if $(4),| grep -Ev '^$(4)') || { echo '$(1)' >&2; exit 1; }

# The files that every other file may include.
BASE = $(filter-out src/core/call.% src/core/session.%,$(wildcard src/core/*.[ch]))

# ---- checkers ----

.PHONY: check analyze check-musl check-32 sanitize valgrind coverage soak soak-nginx chaos-nginx
check: analyze check-musl check-32 sanitize valgrind lint-docker

# The linter is installed into the build folder.
DOCKERFILE_UTILS := dockerfile-utils@0.16.3
.PHONY: lint-docker
lint-docker: packages-lint-docker
	@[ -e build/docker/node_modules/.bin/dockerfile-utils ] || \
	  npm install --prefix build/docker --no-save --no-audit --no-fund --ignore-scripts --silent $(DOCKERFILE_UTILS) || \
	  { echo '$(DOCKERFILE_UTILS) cannot be installed with npm' >&2; exit 1; }
	build/docker/node_modules/.bin/dockerfile-utils lint examples/nginx/Dockerfile

# Static analysis by compilers and other tools.
C_FILES = $(SOURCES) $(COMMAND_SOURCES) $(wildcard spec/support/*.c spec/fuzz/*.[ch] tools/*.c)
analyze: packages-check
	clang-format --dry-run --Werror $(C_FILES) $(HEADERS)
	@$(AGAIN) -j$(JOBS) CC=gcc CFLAGS='-O2 -fanalyzer' VARIANT=-analyzer WERROR=-Werror all
	@$(AGAIN) -j$(JOBS) CC=clang VARIANT=-clang WERROR=-Werror all decoder allocations
	cppcheck --quiet --error-exitcode=1 --enable=warning,style,performance,portability --inline-suppr \
	  --std=c11 -D__GNUC__ -D_DEFAULT_SOURCE -Isrc $(SOURCES) $(COMMAND_SOURCES)
	printf '%s\n' $(SOURCES) $(COMMAND_SOURCES) | xargs -P $(JOBS) -I{} clang-tidy --quiet {} -- \
	  -std=c11 -D_DEFAULT_SOURCE -Isrc -I$(BUILD)-clang $(LUA_CFLAGS) 2>/dev/null

# Compiles everything with the headers of musl, another C library, and for 32 bits. Links nothing, because there is no
# libcurl to link with.
CHECK_LUAS ?= lua5.4 luajit
check-musl: packages-check
	@for lua in $(CHECK_LUAS); do $(AGAIN) LUA=$$lua OTHER_CC=musl-gcc OTHER=musl other-objects || exit 1; done

check-32: packages-check
	@echo '#include <limits.h>' | $(CC) -m32 -E - >/dev/null 2>&1 || { \
	  echo '$(CC) cannot compile for 32 bits here' >&2; exit 1; }
	@for lua in $(CHECK_LUAS); do $(AGAIN) LUA=$$lua OTHER_CC='$(CC) -m32' OTHER=32 other-objects || exit 1; done

# Copies the headers of libcurl and Lua, because the headers of glibc are in the same folder.
.PHONY: other-objects
other-objects: OTHER_HEADERS := $(CURDIR)/$(BUILD)-headers
other-objects:
	@mkdir -p $(OTHER_HEADERS)/curl
	@printf '%s\n' '#include <curl/curl.h>' '#include <lua.h>' '#include <lauxlib.h>' | \
	  $(CC) $(LUA_CFLAGS) $(CURL_CFLAGS) -M -x c - | tr ' ' '\n' | while read -r file; do \
	    case $$file in \
	    */curl/*) cp $$file $(OTHER_HEADERS)/curl ;; \
	    */lua*.h | */lauxlib.h) cp $$file $(OTHER_HEADERS) ;; \
	    esac; done
	@$(AGAIN) -j$(JOBS) CC='$(OTHER_CC)' CC_FOR_BUILD='$(CC_FOR_BUILD)' VARIANT=-$(OTHER) WERROR=-Werror \
	  LUA_CFLAGS='-isystem $(OTHER_HEADERS)' CURL_CFLAGS='-isystem $(OTHER_HEADERS)' objects

# Runs the specs with a Lua interpreter that is linked with the sanitizers. Without intercept_tls_get_addr=0, gcc 12's
# LeakSanitizer misreads the thread-local data of libraries that were loaded at run time, and crashes.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
sanitize: packages-check
	@$(AGAIN) -j$(JOBS) LUA=lua5.4 CFLAGS='-O1 -g $(SANITIZERS)' LDFLAGS='$(SANITIZERS)' \
	  VARIANT=-sanitized HARDENING=-fstack-protector-strong all decoder allocations interpreter
	VARIANT=-sanitized INTERPRETER=$(CURDIR)/build/lua5.4-sanitized/interpreter/lua5.4 \
	  ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:quarantine_size_mb=8:intercept_tls_get_addr=0 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/spec/support/lsan.supp:print_suppressions=0 spec/support/run.sh lua5.4

.PHONY: interpreter
interpreter: $(BUILD)/interpreter/$(LUA)
$(BUILD)/interpreter/$(LUA): spec/support/lua.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) $(LDFLAGS) -Wl,-E -o $@ $< $(shell $(PKG_CONFIG) --libs $(LUA))

VALGRIND := valgrind --quiet --error-exitcode=99 --leak-check=full \
  --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
  --child-silent-after-fork=yes --suppressions=spec/support/valgrind.supp

# Reports as leaks only blocks that nothing points to, since interpreters never unload modules. SPARSE=25: runs only one
# in 25 of thousands of similar cases; all of them would take half an hour. Built without _FORTIFY_SOURCE, since valgrind
# takes glibc's __memmove_chk for __memcpy_chk, which has the same address, and reports overlaps.
valgrind: packages-check
	@$(AGAIN) -j$(JOBS) LUA=lua5.4 CFLAGS='-O1 -g' VARIANT=-valgrind HARDENING=-fstack-protector-strong \
	  all decoder allocations
	SPARSE=25 VARIANT=-valgrind WRAPPER='$(VALGRIND)' spec/support/run.sh lua5.4

# Measures with gcov how much of src the specs execute on Lua 5.4, and in nginx on LuaJIT. Comments in the sources mark
# the lines and branches that cannot be reached, and give the reason. If root starts nginx, its workers run as another
# user, who must be able to write gcov's files.
COVERAGE := build/lua5.4-coverage build/luajit-coverage
coverage: packages-coverage
	@for lua in lua5.4 luajit; do \
	  $(AGAIN) -s -j$(JOBS) LUA=$$lua VARIANT=-coverage HARDENING=-fstack-protector-strong \
	    CFLAGS='-O0 -g --coverage -fprofile-update=atomic' LDFLAGS='--coverage -Wl,--exclude-libs,libgcov.a' \
	    all decoder allocations || exit; \
	done
	@find $(COVERAGE) -name '*.gcda' -delete
	@rm -rf $(COVERAGE:=/compiled)
	@VARIANT=-coverage spec/support/run.sh lua5.4
	@find $(COVERAGE) -type d -exec chmod a+rwx {} +
	@umask 0; for file in spec/*nginx*_spec.lua; do VARIANT=-coverage BUSTED=$$file spec/support/run.sh luajit || exit; done
	@gcovr --root . --filter src/ $(COVERAGE) --print-summary --sort-uncovered \
	  --html-details $(firstword $(COVERAGE))/index.html --fail-under-line 98 --fail-under-branch 90
	@echo 'details: $(firstword $(COVERAGE))/index.html'

soak: packages-test
	@$(AGAIN) -s -j$(JOBS) LUA=lua5.4 all
	@LUA_CPATH="build/lua5.4/?.so;;" lua5.4 spec/support/soak.lua $(or $(SOAK_SECONDS),600)

soak-nginx: packages-soak-nginx
	@$(AGAIN) -s -j$(JOBS) LUA=luajit all
	@lua5.4 spec/support/soak_nginx.lua $(or $(SOAK_SECONDS),60)

chaos-nginx: packages-chaos-nginx
	@$(AGAIN) -s -j$(JOBS) LUA=luajit all
	@LUA_CPATH="build/luajit/?.so;;" luajit spec/support/chaos_nginx.lua $(or $(SOAK_SECONDS),60)

# ---- fuzzers ----

.PHONY: fuzz bench bench-nginx docs format picture picture-nginx
FUZZERS := json number value users token header url path time redact
FUZZ_SECONDS ?= 600
fuzz: packages-fuzz
	@$(AGAIN) -s -j$(JOBS) LUA=lua5.4 CC=clang HARDENING= VARIANT=-fuzz \
	  CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) spec/fuzz/run.sh build/lua5.4-fuzz/fuzz $(FUZZERS)

.PHONY: fuzzers
fuzzers: $(FUZZERS:%=$(BUILD)/fuzz/%)
$(BUILD)/fuzz/%: spec/fuzz/%.c spec/fuzz/lua.h spec/support/decoder.c $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) -Wno-pedantic -fsanitize=fuzzer $(LDFLAGS) -Wl,--wrap=malloc \
	  -o $@ $< spec/support/decoder.c $(OBJECTS) \
	  $(CURL_LIBS) $(shell $(PKG_CONFIG) --libs $(LUA)) -lm -lpthread

bench: packages-bench
	@for lua in lua5.4 luajit; do $(AGAIN) LUA=$$lua all decoder || exit 1; done
	lua5.4 bench/run.lua

bench-nginx: packages-bench-nginx
	@$(AGAIN) LUA=luajit all
	lua5.4 bench/nginx.lua

# Makes the documentation site. tools/site/pages.lua lists its pages.
docs: packages-docs
	lua5.4 tools/site.lua build/docs

# Writes the scripts that complete the command's words in shells.
.PHONY: completions
completions: all
	@LUA='$(LUA)' tools/completions.sh '$(BUILD)'

.PHONY: casefold-table
casefold-table: packages-test
	lua5.4 src/core/casefold_table.lua /usr/share/unicode src/core/casefold_table.h

format:
	clang-format -i src/*.h src/*/*.h src/*/*.c src/*/*/*.h src/*/*/*.c spec/support/*.c spec/fuzz/*.[ch] tools/*.c
