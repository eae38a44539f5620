# make                 builds podero.so for $(LUA) in build/$(LUA)
# make demo            prints a table of users from the mock Partner API
# make test            runs lint, fuzzers and specs, with a build for each Lua
# make install         installs module and command for $(LUA), types and man page under $(DESTDIR)$(PREFIX)
# make help            lists the other targets

LUA ?= lua5.4
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
WERROR ?=

# LuaRocks sets LUA_INCDIR to the folder of Lua's headers. Otherwise pkg-config finds it.
ifdef LUA_INCDIR
LUA_CFLAGS := -I$(LUA_INCDIR)
BUILD := build/rock$(subst /,-,$(LUA_INCDIR))
else
LUA_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(LUA))
BUILD := build/$(LUA)$(VARIANT)
endif

MODULE := $(BUILD)/podero.so
SOURCES := $(sort $(wildcard src/core/*.c src/core/*/*.c src/lua/*.c))
HEADERS := $(sort $(wildcard src/*.h src/core/*.h src/core/*/*.h src/lua/*.h))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/%.o)

CURL_CFLAGS = $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null)
ifdef CURL_LIBDIR
CURL_LIBS := -L$(CURL_LIBDIR) -lcurl
else
CURL_LIBS = $(shell $(PKG_CONFIG) --libs libcurl 2>/dev/null || echo -lcurl)
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes

# Those of these flags that the compiler accepts without a warning, together with CPPFLAGS and CFLAGS: a flag that
# conflicts with what a packager has set there is left out. Evaluated once, when first used.
HARDENING = $(eval HARDENING := $(foreach flag,-fstack-protector-strong -fstack-clash-protection \
  -fcf-protection -mbranch-protection=standard -D_FORTIFY_SOURCE=3,$(call accepted,$(flag))))$(HARDENING)
accepted = $(shell $(CC) -Werror $(1) $(CPPFLAGS) $(CFLAGS) -include string.h -x c -c -o /dev/null /dev/null \
  2>/dev/null && echo '$(1)')

# _DEFAULT_SOURCE: declares POSIX functions and getentropy in addition to those of C11.
ALL_CFLAGS = -std=c11 -D_DEFAULT_SOURCE -fPIC -fvisibility=hidden -Isrc -I$(BUILD) $(WARNINGS) $(WERROR) \
  $(LUA_CFLAGS) $(CURL_CFLAGS) $(HARDENING) $(CPPFLAGS) $(CFLAGS)

ifeq ($(shell uname -s),Darwin)
LIBFLAG ?= -bundle -undefined dynamic_lookup
else
LIBFLAG ?= -shared
# -z nodelete: the module is never unloaded, since a resolver thread of libcurl may outlive the Lua state.
MODULE_LDFLAGS := -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now
endif

PREFIX ?= /usr/local
LUA_VERSION = $(if $(filter luajit%,$(LUA)),5.1,$(LUA:lua%=%))
# The folders in which this version of Lua looks for C modules and for Lua modules.
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
INST_BINDIR ?= $(PREFIX)/bin
INST_MANDIR ?= $(PREFIX)/share/man
# Type annotations for editors: set workspace.library of the Lua language server to this folder.
INST_TYPESDIR ?= $(PREFIX)/share/podero/types

# C modules of the command: podero.command.NAME.
COMMAND_SOURCES := $(sort $(wildcard src/command/*.c))
COMMAND_MODULES := $(COMMAND_SOURCES:src/%.c=$(BUILD)/podero/%.so)

.PHONY: all install install-lua clean
all: $(MODULE) $(COMMAND_MODULES)

$(MODULE): $(OBJECTS)
	$(CC) $(LIBFLAG) $(MODULE_LDFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(CURL_LIBS) -lm -lpthread

$(COMMAND_MODULES): $(BUILD)/podero/command/%.so: $(BUILD)/command/%.o
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(LDFLAGS) -o $@ $< -lm

$(BUILD)/%.o: src/%.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Lua sources are compiled into the module as arrays of bytes. Comments become empty lines, so that line numbers stay.
$(BUILD)/lua/methods.o: $(BUILD)/methods.inc $(BUILD)/wait_function.inc $(BUILD)/wait_nginx.inc $(BUILD)/credentials.inc
$(BUILD)/%.inc: src/lua/%.lua
	@mkdir -p $(@D)
	sed 's/^ *--.*//; s/^ *//' $< | od -An -v -tx1 | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' >$@

# A module with only the JSON reader, the decoders and the redaction of secrets, for specs and benchmarks.
DECODER := $(BUILD)/decoder.so
.PHONY: decoder
decoder: $(DECODER)

$(DECODER): spec/support/decoder.c $(addprefix $(BUILD)/,core/json.o core/number.o core/oauth2/redact.o \
  core/utf8.o lua/json_value.o lua/user_decoder.o lua/user_schema.o)
	$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) -Wno-pedantic $(LIBFLAG) $(LDFLAGS) \
	  -Wl,--wrap=malloc -o $@ $^ -lm

# The module with allocations that can be made to fail, for specs.
ALLOCATIONS := $(BUILD)/allocations.so
.PHONY: allocations
allocations: $(ALLOCATIONS)

comma := ,
$(ALLOCATIONS): spec/support/allocations.c $(OBJECTS)
	$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) $(LIBFLAG) $(MODULE_LDFLAGS) $(LDFLAGS) \
	  $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup free) \
	  -o $@ $^ $(CURL_LIBS) -lm -lpthread

install: install-lua
	install -d "$(DESTDIR)$(INST_MANDIR)/man1" "$(DESTDIR)$(INST_TYPESDIR)"
	install -m 644 docs/podero.1 "$(DESTDIR)$(INST_MANDIR)/man1/podero.1"
	install -m 644 types/podero.lua "$(DESTDIR)$(INST_TYPESDIR)/podero.lua"

# The part that LuaRocks uses. It copies the folders docs and types itself.
install-lua: $(MODULE) $(COMMAND_MODULES)
	install -d "$(DESTDIR)$(INST_LIBDIR)/podero/command" "$(DESTDIR)$(INST_LUADIR)/podero/command" \
	  "$(DESTDIR)$(INST_BINDIR)"
	install -m 755 $(MODULE) "$(DESTDIR)$(INST_LIBDIR)/podero.so"
	install -m 755 $(COMMAND_MODULES) "$(DESTDIR)$(INST_LIBDIR)/podero/command"
	install -m 644 src/command/*.lua "$(DESTDIR)$(INST_LUADIR)/podero/command"
	sed '1s|.*|#!/usr/bin/env $(LUA)|' src/command/podero >"$(DESTDIR)$(INST_BINDIR)/podero"
	chmod 755 "$(DESTDIR)$(INST_BINDIR)/podero"

clean:
	rm -rf build

# ---- development ----

LUAS ?= lua5.4 luajit lua5.1 lua5.2 lua5.3
JOBS ?= $(shell nproc)

.PHONY: help demo demo-nginx test specs lint check analyze sanitize valgrind coverage soak soak-nginx chaos-nginx fuzz bench bench-nginx docs picture picture-nginx format
help:
	@echo 'make demo       prints a table of users from the mock Partner API'
	@echo 'make demo-nginx runs the site of examples/nginx with the mock Partner API'
	@echo 'make test       runs lint, builds with warnings as errors, runs each fuzzer for eight seconds,'
	@echo '                and runs the specs for each of: $(LUAS)'
	@echo 'make specs      runs the specs only'
	@echo 'make check      runs the targets analyze, sanitize and valgrind'
	@echo 'make coverage   measures which part of src the specs execute; fails below 98 % of lines or 90 % of branches'
	@echo 'make soak       makes calls of all kinds for SOAK_SECONDS=600; fails if memory or open descriptors grow'
	@echo 'make soak-nginx  reads lists in nginx under eight kinds of load, each for SOAK_SECONDS=60, some with reloads;'
	@echo '                fails if a list is not complete'
	@echo 'make chaos-nginx  makes calls in nginx for SOAK_SECONDS=60 while the API fails, requests are aborted and nginx'
	@echo '                reloads; and measures memory after 200,000 calls'
	@echo 'make fuzz       runs each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make bench      compares the speed with that of other Lua libraries; writes bench/RESULTS.md'
	@echo 'make bench-nginx  the same for handlers in nginx; writes bench/RESULTS-nginx.md'
	@echo 'make docs       builds the documentation as a web site in build/docs'
	@echo 'make picture    records docs/podero.svg'
	@echo 'make picture-nginx  takes pictures of the roster page of examples/nginx'
	@echo 'make format     runs clang-format on all C sources'
	@echo 'make install    LUA=$(LUA) PREFIX=$(PREFIX) DESTDIR='

packages-%:
	@.ci/packages $*

# Runs the installed command, for demonstrations and recordings.
INSTALLED = PATH="$(CURDIR)/build/demo/bin:$$PATH" LUA_PATH="$(CURDIR)/build/demo/share/lua/5.4/?.lua;;" \
  LUA_CPATH="$(CURDIR)/build/demo/lib/lua/5.4/?.so;;"
.PHONY: installed
installed:
	@$(MAKE) --no-print-directory -s LUA=lua5.4 install PREFIX="$(CURDIR)/build/demo" DESTDIR=

demo: packages-demo
	@$(MAKE) --no-print-directory -s installed
	@$(INSTALLED) lua5.4 spec/support/demo.lua

# Records the terminal session that README.md shows.
picture: packages-picture installed
	@$(INSTALLED) lua5.4 docs/picture.lua

picture-nginx: packages-picture-nginx
	@$(MAKE) --no-print-directory -s LUA=luajit all
	lua5.4 docs/picture_nginx.lua

demo-nginx: packages-demo-nginx
	@$(MAKE) --no-print-directory -s LUA=luajit all
	@exec lua5.4 spec/support/demo_nginx.lua

test: packages-test
	@$(MAKE) --no-print-directory lint
	@for lua in $(LUAS); do $(MAKE) --no-print-directory -j$(JOBS) LUA=$$lua WERROR=-Werror all decoder allocations || exit 1; done
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=8
	@$(MAKE) --no-print-directory specs

specs:
	@spec/support/run.sh $(LUAS)

lint:
	luacheck --quiet .
	@$(call forbid,libcurl outside src/core/http,<curl/,src,src/core/http/)
	@$(call forbid,the internal header of src/core/http elsewhere,"core/http/internal,src,src/core/http/)
	@$(call forbid,Lua outside src/lua and src/command,[<"](lua/|lua\.h|lauxlib|lualib),src,src/(lua|command)/)
	@$(call forbid,an upward include in src/core/loop,"core/(http|oauth2|retry|session|call),src/core/loop)
	@$(call forbid,an upward include in src/core/http,"core/(oauth2|retry|session|call),src/core/http)
	@$(call forbid,an upward include in src/core/oauth2,"core/(session|call),src/core/oauth2 $(wildcard src/core/retry.*))
	@$(call forbid,an upward include in src/core/session,"core/call,$(wildcard src/core/session.*))
	@$(call forbid,an upward include in src/core,"core/(http|loop|oauth2|session|call),$(BASE))
	@! grep -rnE 'static const char [a-z_]*key;' src/lua || { echo 'a registry key must not be const: its address may be shared' >&2; exit 1; }

# Fails with the message $1 if a file in $3, except for those in $4, has an #include that matches $2.
forbid = ! grep -rnE '^ *\# *include *$(2)' $(3) $(if $(4),| grep -Ev '^$(4)') || { echo '$(1)' >&2; exit 1; }

# The files that every other file may include.
BASE = $(filter-out src/core/call.% src/core/session.%,$(wildcard src/core/*.[ch]))

# ---- checkers ----

check: analyze sanitize valgrind

# Static analysis by compilers and other tools.
C_FILES = $(SOURCES) $(COMMAND_SOURCES) $(wildcard spec/support/*.c spec/fuzz/*.[ch])
analyze: packages-check
	clang-format --dry-run --Werror $(C_FILES) $(HEADERS)
	@$(MAKE) --no-print-directory -j$(JOBS) CC=gcc CFLAGS='-O2 -fanalyzer' VARIANT=-analyzer WERROR=-Werror all
	@$(MAKE) --no-print-directory -j$(JOBS) CC=clang VARIANT=-clang WERROR=-Werror all decoder allocations
	cppcheck --quiet --error-exitcode=1 --enable=warning,style,performance,portability --inline-suppr \
	  --std=c11 -D__GNUC__ -D_DEFAULT_SOURCE -Isrc $(SOURCES) $(COMMAND_SOURCES)
	printf '%s\n' $(SOURCES) $(COMMAND_SOURCES) | xargs -P $(JOBS) -I{} clang-tidy --quiet {} -- \
	  -std=c11 -D_DEFAULT_SOURCE -Isrc -I$(BUILD)-clang $(LUA_CFLAGS) 2>/dev/null

# Runs the specs with a Lua interpreter that is linked with the sanitizers.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
sanitize: packages-check
	@$(MAKE) --no-print-directory -j$(JOBS) LUA=lua5.4 CFLAGS='-O1 -g $(SANITIZERS)' LDFLAGS='$(SANITIZERS)' \
	  VARIANT=-sanitized HARDENING=-fstack-protector-strong all decoder allocations interpreter
	VARIANT=-sanitized INTERPRETER=$(CURDIR)/build/lua5.4-sanitized/interpreter/lua5.4 \
	  ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:quarantine_size_mb=8 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/spec/support/lsan.supp:print_suppressions=0 spec/support/run.sh lua5.4

.PHONY: interpreter
interpreter: $(BUILD)/interpreter/$(LUA)
$(BUILD)/interpreter/$(LUA): spec/support/lua.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) $(LDFLAGS) -Wl,-E -o $@ $< $(shell $(PKG_CONFIG) --libs $(LUA))

VALGRIND := valgrind --quiet --error-exitcode=99 --leak-check=full \
  --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
  --child-silent-after-fork=yes --suppressions=spec/support/valgrind.supp

# Reports only blocks that nothing points to as leaks, since interpreters never unload modules. SPARSE=25: of thousands
# of similar cases, specs run one in 25; all of them would take half an hour.
valgrind: packages-check
	@$(MAKE) --no-print-directory -j$(JOBS) LUA=lua5.4 CFLAGS='-O1 -g' VARIANT=-valgrind all decoder allocations
	SPARSE=25 VARIANT=-valgrind WRAPPER='$(VALGRIND)' spec/support/run.sh lua5.4

# Measures with gcov which part of src the specs execute on Lua 5.4. Comments in the sources mark the lines and branches
# that cannot be reached, and give the reason.
COVERAGE := build/lua5.4-coverage build/luajit-coverage
coverage: packages-coverage
	@for lua in lua5.4 luajit; do \
	  $(MAKE) --no-print-directory -s -j$(JOBS) LUA=$$lua VARIANT=-coverage HARDENING=-fstack-protector-strong \
	    CFLAGS='-O0 -g --coverage -fprofile-update=atomic' LDFLAGS='--coverage -Wl,--exclude-libs,libgcov.a' \
	    all decoder allocations || exit; \
	done
	@find $(COVERAGE) -name '*.gcda' -delete
	@VARIANT=-coverage spec/support/run.sh lua5.4
	@for file in spec/*nginx*_spec.lua; do VARIANT=-coverage BUSTED=$$file spec/support/run.sh luajit || exit; done
	@gcovr --root . --filter src/ $(COVERAGE) --print-summary --sort-uncovered \
	  --html-details $(firstword $(COVERAGE))/index.html --fail-under-line 98 --fail-under-branch 90
	@echo 'details: $(firstword $(COVERAGE))/index.html'

soak: packages-test
	@$(MAKE) --no-print-directory -s -j$(JOBS) LUA=lua5.4 all
	@LUA_CPATH="build/lua5.4/?.so;;" lua5.4 spec/support/soak.lua $(or $(SOAK_SECONDS),600)

soak-nginx: packages-soak-nginx
	@$(MAKE) --no-print-directory -s -j$(JOBS) LUA=luajit all
	@lua5.4 spec/support/soak_nginx.lua $(or $(SOAK_SECONDS),60)

chaos-nginx: packages-chaos-nginx
	@$(MAKE) --no-print-directory -s -j$(JOBS) LUA=luajit all
	@LUA_CPATH="build/luajit/?.so;;" luajit spec/support/chaos_nginx.lua $(or $(SOAK_SECONDS),60)

# ---- fuzzers ----

FUZZERS := json number value users token header url path time redact
FUZZ_SECONDS ?= 600
fuzz: packages-fuzz
	@$(MAKE) --no-print-directory -s -j$(JOBS) LUA=lua5.4 CC=clang HARDENING= VARIANT=-fuzz \
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
	@for lua in lua5.4 luajit; do $(MAKE) --no-print-directory LUA=$$lua all decoder || exit 1; done
	lua5.4 bench/run.lua

bench-nginx: packages-bench-nginx
	@$(MAKE) --no-print-directory LUA=luajit all
	lua5.4 bench/nginx.lua

# Builds the documentation from types/podero.lua, README.md, examples and the man page.
docs: packages-docs
	@mkdir -p build/ldoc build/docs
	lua5.4 docs/annotate.lua <types/podero.lua >build/ldoc/podero.lua
	ldoc --quiet --fatalwarnings -c docs/config.ld -d build/docs build/ldoc/podero.lua
	@echo 'img { max-width: 100%; } td { padding: 0.1em 0.5em; }' >>build/docs/ldoc.css
	@mkdir -p build/docs/topics/docs build/docs/topics/examples/nginx
	@cp docs/podero.svg build/docs/topics/docs && cp examples/nginx/roster.png build/docs/topics/examples/nginx
	mandoc -Thtml docs/podero.1 >build/docs/podero.1.html

format:
	clang-format -i src/*.h src/*/*.h src/*/*.c src/*/*/*.h src/*/*/*.c spec/support/*.c spec/fuzz/*.[ch]
