local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

describe("the command podero on a terminal", function()
  local server

  command.set_up({ tls = false }, function(_, started) server = started end)

  --- Returns the output on a terminal of this width, and the exit code.
  local function screen(columns, arguments, more, steps)
    return command.on_pty(command.line(arguments, command.environment(server, more)), columns, steps)
  end

  --- Returns the lines of the table on a terminal of this width.
  local function table_of(columns, arguments, more)
    local text, code = screen(columns, "users -q " .. (arguments or mock.ORG), more)
    assert.equal(0, code, text)
    local lines = {}
    for line in text:gsub("\27%[%d*m", ""):gmatch("([^\r\n]+)\r\n") do lines[#lines + 1] = line end
    return lines
  end

  local function user(members)
    return '{"id": "1", "organization_id": "2", "num_inverters": 10, "num_heat_pumps": 0, "num_electric_vehicles": 0, '
      .. '"num_wallboxes": 0, "role": "user", ' .. members .. "}"
  end

  local function serve(...)
    server:configure { organizations = { [mock.ORG] = { raw = "[" .. table.concat({ ... }, ",") .. "]" } } }
  end

  --- Returns the width of a line without wide characters and combining marks.
  local function characters(line)
    return #line:gsub("[\128-\191]", "")
  end

  describe("shows a table", function()
    local LONG = user('"email": "' .. ("e"):rep(40) .. '", "external_user_id": "' .. ("x"):rep(40)
      .. '", "first_name": "' .. ("n"):rep(30) .. '"')

    for _, columns in ipairs { 40, 80, 120 } do
      it(("that fits %d columns"):format(columns), function()
        serve(LONG, user '"email": "a@example.com"')
        for _, organizations in ipairs { "", " " .. helper.OTHER_ORG } do
          local lines = table_of(columns, mock.ORG .. organizations)
          assert.is_true(#lines >= 3)
          for _, line in ipairs(lines) do assert.is_true(characters(line) <= columns, line) end
        end
      end)
    end

    it("whose external ids, e-mails and names are cut off in this order, and then end in an ellipsis", function()
      serve(LONG)
      local function cells(columns)
        local line = table_of(columns)[2]
        return { line:match("^user  (%S+)  (%S+)  (%S+)   10   0   0   0  %-$") }
      end
      local name, email, id = ("n"):rep(30), ("e"):rep(40), ("x"):rep(40)
      assert.same({ name, email, id }, cells(170))
      assert.same({ name, email, ("x"):rep(35) .. "…" }, cells(151))
      assert.same({ name, ("e"):rep(26) .. "…", "xxxxxxx…" }, cells(110))
      assert.same({ ("n"):rep(14) .. "…", ("e"):rep(11) .. "…", "xxxxxxx…" }, cells(80))
    end)

    it("with right-aligned numbers under right-aligned titles", function()
      serve(LONG, user '"email": "a@example.com"')
      local lines = table_of(200)
      local _, last = lines[1]:find("INV", 1, true)
      assert.equal("10", lines[2]:sub(last - 1, last))
      assert.equal("10", lines[3]:sub(last - 1, last))
    end)

    it("that is aligned whatever the widths of characters", function()
      serve(user '"first_name": "日本語", "email": "@1"', user '"first_name": "e\204\129\204\129e", "email": "@2"',
        user '"first_name": "😀😀", "email": "@3"', user '"first_name": "Zoë", "email": "@4"')
      for _, more in ipairs { { LC_ALL = "C" }, { LC_ALL = "C.UTF-8" } } do
        local lines = table_of(120, nil, more)
        local expected = { "NAME    E-MAIL", "日本語  @1", "e\204\129\204\129e      @2", "😀😀    @3", "Zoë     @4" }
        for i, text in ipairs(expected) do assert.truthy(lines[i]:find("  " .. text, 1, true), lines[i]) end
      end
    end)

    it("that cuts no wide character in two, and keeps combining marks with their letters", function()
      serve(user('"email": "' .. ("日"):rep(20) .. '"'), user('"email": "' .. ("e\204\129"):rep(40) .. '"'))
      local lines = table_of(71, mock.ORG .. " --columns email,external_user_id,last_login,num_inverters,id,role,"
        .. "first_name")
      assert.truthy(lines[2]:find("^" .. ("日"):rep(7) .. "…   %-"), lines[2])
      assert.truthy(lines[3]:find("^" .. ("e\204\129"):rep(15) .. "…  %-"), lines[3])
    end)

    it("that is not cut off with --wide or in a pipe", function()
      serve(LONG)
      assert.truthy(table_of(80, mock.ORG .. " --wide")[2]:find(("x"):rep(40), 1, true))
      assert.truthy(table_of(80, mock.ORG .. " | cat")[2]:find(("x"):rep(40), 1, true))
    end)

    it("that has the width of COLUMNS, or 80 columns, if the terminal has no width", function()
      serve(LONG)
      assert.equal(100, characters(table_of(0, nil, { COLUMNS = "100" })[2]) + #"LAST LOGIN (UTC)" - 1)
      assert.equal(80, characters(table_of(0)[2]) + #"LAST LOGIN (UTC)" - 1)
      assert.equal(90, characters(table_of(90, nil, { COLUMNS = "100" })[2]) + #"LAST LOGIN (UTC)" - 1)
    end)

    it("of the requested columns", function()
      serve(user '"email": "a@b", "first_name": "A", "last_name": "B", "joined_at": "2025-01-02T03:04:05+01:00"')
      assert.same({ "JOINED (UTC)      NAME  INV  E-MAIL", "2025-01-02 02:04  A B    10  a@b" },
        table_of(80, mock.ORG .. " --columns joined_at,name,num_inverters,email"))
    end)

    it("in colours that are readable on black and on white", function()
      for _, when in ipairs { "", " --color always | cat" } do
        local text = screen(100, "users " .. mock.ORG .. when)
        local seen = {}
        for code in text:gmatch("\27%[(%d+)m") do seen[code] = true end
        assert.same({ ["0"] = true, ["1"] = true, ["35"] = true }, seen) -- bold and magenta
      end
      assert.is_nil(screen(100, "users " .. mock.ORG .. " --color never"):find("\27%[%d*m"))
      assert.truthy(screen(100, "users " .. mock.ORG .. " --color always", { NO_COLOR = "1" }):find("\27[1m", 1, true))
    end)
  end)

  describe("refuses --columns", function()
    it("with a misspelled, empty or repeated name", function()
      for given, message in pairs {
        ["emial"] = "there is no field 'emial': did you mean 'email'?",
        ["id,,role"] = "--columns 'id,,role': expected names of fields",
        ["id,id"] = "'id' is named twice",
      } do
        local code, output, errors = command.run("users " .. mock.ORG .. " --columns " .. given,
          command.environment(server))
        assert.same({ 2, "" }, { code, output })
        assert.truthy(errors:find(message, 1, true), errors)
      end
    end)
  end)

  it("accepts --columns for every format", function()
    serve(user '"email": "a@b", "more": [1]')
    for format, expected in pairs {
      csv = "email,more,town\r\na@b,[1],\r\n", ndjson = '{"email":"a@b","more":[1],"town":null}\n',
      json = '[\n{"email":"a@b","more":[1],"town":null}\n]\n',
    } do
      local code, output = command.run("users " .. mock.ORG .. " --columns email,more,town --format " .. format,
        command.environment(server))
      assert.same({ 0, expected }, { code, output })
    end
  end)

  describe("shows progress", function()
    local waiting = "waiting for 127.0.0.1:"

    it("while it waits, with the seconds", function()
      server:configure { script = { api = { { delay = 2.2 } } } }
      local text, code = screen(80, "users " .. mock.ORG)
      assert.equal(0, code)
      assert.truthy(text:find("\r" .. waiting .. "%d+, 1 s\27%[K\r" .. waiting .. "%d+, 2 s\27%[K"), text)
    end)

    it("before another attempt", function()
      server:configure { script = { api = { { status = 503, headers = { ["Retry-After"] = "1" } } } } }
      local text, code = screen(80, "users " .. mock.ORG)
      assert.equal(0, code)
      assert.truthy(text:find("\r503, trying again in 1 s\27[K", 1, true), text)
    end)

    it("of a small list that arrives slowly", function()
      server:configure { script = { api = { { fault = "drip", chunk = 20, interval = 0.4 } } },
        organizations = { [mock.ORG] = { raw = "[" .. user '"email": "a@example.com"' .. "]" } } }
      local text, code = screen(80, "users " .. mock.ORG)
      assert.equal(0, code, text)
      assert.truthy(text:find("\r%d+ B, 0 users, %d+ B/s\27%[K"), text)
      assert.truthy(text:find("\r\n1 user\r\n$"), text)
    end)

    it("only until the first line is printed if the users are printed on the terminal", function()
      server:configure { default_users = 20000 }
      local text = screen(80, "users " .. mock.ORG .. " --format ndjson")
      local first = text:find("{", 1, true)
      assert.is_nil(text:find("\r[^\n]", first))
    end)

    it("never if standard output is a pipe, with -q, or on a dumb terminal", function()
      server:configure { script = { api = { { delay = 1.3, times = 3 } } } }
      for _, case in ipairs { { " | cat" }, { " -q" }, { "", { TERM = "dumb" } } } do
        local text = screen(80, "users " .. mock.ORG .. case[1], case[2])
        assert.is_nil(text:find("waiting", 1, true), text)
        assert.is_nil(text:find("25 users", 1, true), text)
      end
    end)

    it("in all commands that send requests, each of which Ctrl-C ends", function()
      for _, arguments in ipairs { "token", "get /x", "request POST /x", "find role=user " .. mock.ORG, "doctor" } do
        server:configure { always_token = { delay = 20 } }
        local text, code, echoes = screen(80, arguments, {}, { { ", 1 s", "\\x03" } })
        assert.truthy(text:find("waiting for 127.0.0.1:%d+, 1 s\27%[K"), text)
        assert.same({ 130, true }, { code, echoes })
      end
      server:configure { always_token = { delay = 1.3 } }
      assert.is_nil(screen(80, "token -q"):find("waiting", 1, true))
    end)

    it("on a line that is cleared before one of --verbose", function()
      server:configure { script = { api = { { delay = 1.3 } } } }
      local text = screen(80, "users -v " .. mock.ORG)
      assert.truthy(text:find("\27%[K\r\27%[Kapi: GET http"), text)
    end)
  end)

  describe("escapes", function()
    -- ESC, C1 (CSI), right-to-left override, isolates and marks, a line separator.
    local HARD = '"email": "\\u001b[31m\194\155m\226\128\174\226\129\166\216\156\226\128\143\226\128\168\\r.", '
      .. '"town": "\226\128\174"'
    local FORBIDDEN = { "\27[31", "\194\155", "\226\128\174", "\226\129\166", "\216\156", "\226\128\143",
      "\226\128\168", "\r." }

    local function is_clean(text)
      for _, bytes in ipairs(FORBIDDEN) do assert.is_nil(text:find(bytes, 1, true), text) end
    end

    for _, format in ipairs { "table", "csv", "json", "ndjson" } do
      it("control characters in the format " .. format, function()
        serve(user(HARD))
        local text, code = screen(200, "users -q " .. mock.ORG .. " --format " .. format)
        assert.equal(0, code, text)
        is_clean(text)
        assert.truthy(text:find(format == "table" and "?[31m?m????" or "\\u001b[31m\\u009bm\\u202e", 1, true), text)
      end)
    end

    it("control characters in the output of get", function()
      server:configure { paths = { ["/api/partners/v2.0/x"] = { content_type = "application/json",
        body = "{" .. HARD .. "}" } } }
      local text, code = screen(200, "get /api/partners/v2.0/x")
      assert.equal(0, code, text)
      is_clean(text)
    end)

    it("control characters in errors", function()
      server:configure { always_api = { status = 400, body = '{"detail": "\\u001b[31m\226\128\174\194\155"}' } }
      is_clean((screen(200, "users " .. mock.ORG)))
      is_clean((screen(200, "users '\226\128\174'")))
      is_clean((screen(200, "users -v '\226\128\174\194\155'")))
    end)
  end)

  it("says that an entered secret is wrong", function()
    local text, code = screen(200, "token", { PODERO_CLIENT_SECRET = false }, { { "Secret of", "wrong\\n" } })
    assert.equal(3, code)
    assert.truthy(text:find("the secret that was entered, and that they are for this base URL)", 1, true), text)
    text, code = screen(200, "token", { PODERO_CLIENT_SECRET = false }, { { "Secret of", "\\n" } })
    assert.equal(2, code)
    assert.truthy(text:find("nothing was entered", 1, true), text)
  end)

  describe("interrupted while it asks for a secret", function()
    local NO_SECRET = { PODERO_CLIENT_SECRET = false }
    local PROMPT = "Secret of client demo-client: "

    it("restores the echo and prints a line end", function()
      for _ = 1, 12 do
        local text, code, echoes = screen(80, "token", NO_SECRET, { { PROMPT, "\\x03" } })
        assert.is_true(echoes)
        assert.equal(130, code)
        assert.equal(PROMPT, text:sub(1, #PROMPT))
        assert.truthy(text:find("\r\n$"), text)
        assert.equal(0, #server:requests())
      end
    end)

    it("restores the echo after part of a secret, which the shell does not get", function()
      local line = command.line("token", command.environment(server, NO_SECRET))
      local text, _, echoes = command.on_pty("trap : INT; " .. line .. "; head -n 1", 80,
        { { PROMPT, "half" }, { "", "\\x03" }, { "\n", "rest\\n" } })
      assert.is_true(echoes)
      assert.is_nil(text:find("half", 1, true), text)
    end)

    it("restores the echo after SIGTERM or SIGHUP, and dies by that signal", function()
      for name, number in pairs { TERM = 15, HUP = 1 } do
        local line = command.line("token", command.environment(server, NO_SECRET))
        local echoing = "stty -a </dev/tty | grep -q ' echo '"
        local kill = ("(while %s; do sleep 0.02; done; kill -%s $$) & exec %s"):format(echoing, name, line)
        local _, code, echoes = command.on_pty(kill, 80)
        assert.is_true(echoes)
        assert.equal(128 + number, code)
      end
    end)
  end)
end)
