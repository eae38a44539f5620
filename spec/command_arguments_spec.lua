-- Options and their values in any order, typos, help.

local command = require "spec.support.command"
local helper = require "spec.support.helper"
local mock = require "spec.support.mock"

local cjson = require "cjson"

local OTHER = helper.OTHER_ORG

describe("the arguments of the command", function()
  local server

  command.set_up({ tls = false }, function(_, started) server = started end)

  local function run(arguments, more)
    return command.run(arguments, command.environment(server, more))
  end

  local function output_of(arguments, more)
    local code, output, errors = run(arguments, more)
    assert.same({ 0, "" }, { code, errors })
    return output
  end

  --- Checks that it is wrong use: one line with this text, nothing on standard output, and no request.
  local function is_wrong(text, arguments)
    server:reset()
    local code, output, errors = run(arguments)
    assert.same({ 2, "" }, { code, output }, errors)
    assert.truthy(errors:find("^podero: [^\n]+\n$"), errors)
    assert.truthy(errors:find(text, 1, true), errors)
    assert.equal(0, #server:requests())
    return errors
  end

  --- Returns the e-mails of the users that are printed.
  local function emails(arguments)
    local found = {}
    for email in output_of(arguments .. " -f ndjson"):gmatch('"email":"(.-)"') do found[#found + 1] = email end
    return table.concat(found, " ")
  end

  describe("may be given", function()
    it("with options in any place and in any form", function()
      for _, arguments in ipairs {
        "users --format ndjson --columns id " .. mock.ORG, "users " .. mock.ORG .. " --format=ndjson --columns=id",
        "--format ndjson --columns id users " .. mock.ORG, "-qf ndjson users --columns id -- " .. mock.ORG,
        "-q users -f=ndjson --columns=id " .. mock.ORG, "-q users -fndjson " .. mock.ORG .. " --columns=id",
      } do
        assert.equal(25, select(2, output_of(arguments):gsub('{"id":"[%x-]+"}\n', "")), arguments)
      end
    end)

    it("with a value that begins with a dash, but not with another option as a value", function()
      assert.equal("", output_of("users --search -x -f ndjson " .. mock.ORG))
      is_wrong("--search needs a value: TEXT (or --search=--count, if that is the value)", "users --search --count")
      is_wrong("--output needs a value: FILE", "users " .. mock.ORG .. " --output")
    end)

    it("after --, even before the command", function()
      assert.equal(26, select(2, output_of("-- users " .. mock.ORG):gsub("\n", "")))
      is_wrong("ORG_ID '--count': expected", "-- users --count")
    end)

    it("with the same organization twice, which is listed once", function()
      assert.equal("25\n", output_of(("users --count %s %s"):format(mock.ORG, mock.ORG:upper())))
    end)

    it("with an option twice, but not with two values", function()
      assert.equal("25\n", output_of("users --count --count -q -q " .. mock.ORG))
      assert.equal("25\n", output_of("users --count --timeout 5 --timeout 5 " .. mock.ORG))
      is_wrong("--timeout is given twice", "users --timeout 5 --timeout 6 " .. mock.ORG)
      is_wrong("--bom has no value", "users --bom=yes " .. mock.ORG)
    end)

    it("in the expected number only", function()
      is_wrong("unexpected argument 'x'", "token x")
      is_wrong("unexpected argument", "find email=x " .. mock.ORG .. " " .. OTHER)
      is_wrong("PATH is missing: podero get [OPTIONS] PATH (see podero get --help)", "get")
      is_wrong("FIELD=VALUE is missing: podero find [OPTIONS] ORG_ID FIELD=VALUE...", "find " .. mock.ORG)
      is_wrong("FIELD=VALUE 'email': expected FIELD=VALUE", "find " .. mock.ORG .. " email")
    end)
  end)

  describe("with a mistake give an error that says what was meant, for", function()
    it("commands", function()
      is_wrong("unknown command 'uesrs': did you mean 'users'? (see podero --help)", "uesrs")
      is_wrong("unknown command 'nothing' (see podero --help)", "nothing")
      is_wrong("COMMAND 'uesrs': expected ", "help uesrs")
      is_wrong(("did you mean 'podero users %s'?"):format(mock.ORG), mock.ORG)
    end)

    it("options", function()
      is_wrong("unknown option '--fromat': did you mean '--format'? (see podero users --help)", "users --fromat csv")
      is_wrong("unknown option '--include': did you mean '--include-deleted'?", "users --include")
      is_wrong("unknown option '-format': did you mean '--format'?", "users -format csv")
      is_wrong("unknown option '-x'", "users -vx")
      is_wrong("unknown option '--client-secrets'", "users --client-secrets=hush " .. mock.ORG)
    end)

    it("values", function()
      is_wrong("--format 'jsno': expected table, csv, json or ndjson: did you mean 'json'?", "users --format jsno")
      is_wrong("--role 'ADMIN': expected admin, staff, user or guest: did you mean 'admin'?", "users --role ADMIN")
      is_wrong("METHOD '/x': expected GET, HEAD, POST, PUT, PATCH or DELETE", "request /x GET")
      is_wrong("SHELL 'bsh': expected bash, zsh or fish: did you mean 'bash'?", "completion bsh")
    end)

    it("commands in the wrong place, or empty", function()
      is_wrong("unknown command 'list': did you mean 'podero users'?", "list users " .. mock.ORG)
      is_wrong("the command is empty (a variable that is not set?) (see podero --help)", "''")
      is_wrong("unknown option '-v' (see podero --help)", "-v")
    end)

    it("several values in one argument", function()
      is_wrong("--role 'admin,staff': expected admin, staff, user or guest, each with its own --role",
        "users --role admin,staff " .. mock.ORG)
      is_wrong("each in its own role=", "users --where role=admin,staff " .. mock.ORG)
      is_wrong("--columns 'id email': expected names of fields, separated by commas", "users --columns 'id email'")
    end)

    it("other comparisons than FIELD=VALUE", function()
      for _, condition in ipairs { "num_wallboxes>1", "num_wallboxes!=1", "email~x", "latitude <= 48" } do
        is_wrong("for other comparisons, use --format ndjson and jq", "users --where '" .. condition .. "'")
      end
    end)

    it("parts of field names", function()
      is_wrong("there is no field 'name': did you mean 'first_name' or 'last_name'?", "find name=x " .. mock.ORG)
      is_wrong("there is no field 'wallboxes': did you mean 'num_wallboxes'?", "find wallboxes=1 " .. mock.ORG)
      is_wrong("there is no field 'email ': did you mean 'email'?", "find 'email = x' " .. mock.ORG)
    end)

    it("files without a format, and similar", function()
      is_wrong("--output 'users.xlsx': there is no format for .xlsx, but spreadsheets open CSV: --output users.csv",
        "users -o users.xlsx " .. mock.ORG)
      is_wrong("there is no format for .gz, but without --output, another program can compress",
        "users -o users.csv.gz " .. mock.ORG)
      is_wrong("--output '~/users.csv': the shell has not replaced ~: write $HOME/users.csv",
        "users --output='~/users.csv' " .. mock.ORG)
      is_wrong("--columns: only a table has 'name': use first_name and last_name",
        "users --columns name -f csv " .. mock.ORG)
    end)

    it("bodies and paths", function()
      is_wrong("--data is the name of a file: to send a text, pipe it into --data -",
        "request POST /x --data '{\"a\": 1}'")
      is_wrong("--data '/nope' cannot be read: No such file", "request POST /x --data /nope")
      is_wrong("--data is given, but GET has no body", "request GET /x --data -")
      is_wrong("--content-type is given without --data", "request POST /x --content-type text/plain")
      is_wrong("the path alone is needed, without the host: did you mean '/a?b=1'?", "get 'https://x.example/a?b=1'")
    end)

    it("dashes and line ends from other programs", function()
      is_wrong("'–role' begins with a dash that options do not have: did you mean '--role'?", "users –role admin")
      is_wrong("did you mean '--count'?", "users —count " .. mock.ORG)
      is_wrong("did you mean '-f'?", "users −f csv " .. mock.ORG)
      is_wrong("argument 2 ends in a carriage return: a script or file with Windows line endings?",
        "users \"$(printf '" .. mock.ORG .. "\\r')\"")
      assert.equal("", output_of("users -f ndjson --search '– x' " .. mock.ORG))
    end)

    it("invalid numbers", function()
      for _, value in ipairs { "0x10", "1e3", "inf", "nan", "5s", "-5", "1,5" } do
        is_wrong(("--timeout '%s': expected a number of seconds above 0"):format(value), "token --timeout=" .. value)
      end
      is_wrong("expected a whole number up to 1000000", "token --max-retries 99999999")
    end)

    it("names of fields", function()
      is_wrong("--columns 'id,emial': there is no field 'emial': did you mean 'email'?", "users --columns id,emial")
      is_wrong("--where 'Rolle=x': there is no field 'Rolle': did you mean 'role'?", "users --where Rolle=x")
    end)

    it("secrets, which are not repeated", function()
      for _, arguments in ipairs { "--password hush", "--client-secret=hush", "--access-token hush" } do
        local errors = is_wrong("a secret is never an argument", "users " .. arguments)
        assert.is_nil(errors:find("hush", 1, true), errors)
        assert.truthy(errors:find("-file, or set PODERO_", 1, true), errors)
      end
    end)

    it("long values, which are cut off", function()
      assert.is_true(#is_wrong("…'", "users --format " .. ("x"):rep(5000)) < 300)
    end)
  end)

  describe("--where", function()
    local function user(id, members)
      return ('{"id": "%s", "organization_id": "o", "email": "%s", "role": "user", "num_inverters": 0, '
        .. '"num_heat_pumps": 0, "num_electric_vehicles": 0, %s}'):format(id, id, members)
    end

    local function configure()
      server:configure { organizations = { [mock.ORG] = { raw = "[" .. table.concat({
        user("a", '"num_wallboxes": 1, "zip_code": "0815", "is_onboarded": true, "beta": true, "latitude": 48.5'),
        user("b", '"num_wallboxes": 2, "zip_code": "815", "is_onboarded": false, "beta": "true", "latitude": 48.50'),
        user("c", '"num_wallboxes": 1, "zip_code": null, "beta": 7, "town": "a=b"'),
      }, ",") .. "]" }, [OTHER] = { users = 3 } } }
    end

    before_each(configure)

    it("reads the value by the field's type", function()
      local users = "users " .. mock.ORG
      for condition, expected in pairs {
        ["num_wallboxes=1"] = "a c", ["num_wallboxes=1.0"] = "a c", ["zip_code=0815"] = "a", ["zip_code=815"] = "b",
        ["is_onboarded=true"] = "a", ["is_onboarded=false"] = "b", ["is_onboarded="] = "c", ["zip_code="] = "c",
        ["latitude=48.5"] = "a b", ["latitude=485e-1"] = "a b", ["role=user"] = "a b c", ["role=admin"] = "",
        ["town=a=b"] = "c",
      } do
        assert.equal(expected, emails(users .. " --where " .. condition), condition)
      end
      for condition, expected in pairs { ["beta=true"] = "a b", ["beta=7"] = "c", ["beta="] = "" } do
        assert.equal(expected, emails(users .. " --no-validate --where " .. condition), condition)
        is_wrong("the API's schema has no field 'beta': --no-validate accepts it",
          users .. " --where " .. condition)
        configure()
      end
    end)

    it("requires all fields to match, and one of the values if a field is named twice", function()
      local users = "users " .. mock.ORG
      assert.equal("a", emails(users .. " --where num_wallboxes=1 --where zip_code=0815"))
      assert.equal("a c", emails(users .. " --where zip_code=0815 --where zip_code="))
      assert.equal("2\n", output_of(users .. " --count --where num_wallboxes=1"))
    end)

    it("refuses a value that the field cannot have", function()
      is_wrong("--where 'num_wallboxes=two': expected num_wallboxes to be a whole number",
        "users --where num_wallboxes=two")
      is_wrong("expected num_wallboxes to be a whole number", "users --where num_wallboxes=0x10")
      is_wrong("expected latitude to be a number", "users --where latitude=48,5")
      is_wrong("expected is_onboarded to be true or false", "users --where is_onboarded=yes")
      is_wrong("expected role to be admin, staff, user or guest: did you mean 'admin'?", "users --where role=amdin")
      is_wrong("expected FIELD=VALUE", "users --where email")
      is_wrong("expected FIELD=VALUE", "users --where =x")
    end)
  end)

  describe("--limit", function()
    it("ends the output after so many users in total", function()
      assert.equal("4\n", output_of("users --count --limit 4 " .. mock.ORG))
      server:configure { organizations = { [mock.ORG] = { users = 3 }, [OTHER] = { users = 3 } } }
      assert.equal(5, #cjson.decode(output_of(("users -f json --limit 5 %s %s"):format(mock.ORG, OTHER))))
      server:reset()
      assert.equal("3\n", output_of(("users --count --limit 3 %s %s"):format(mock.ORG, OTHER)))
      assert.equal(1, #server:requests("api"))
      is_wrong("--limit '0': expected a whole number above 0", "users --limit 0 " .. mock.ORG)
    end)
  end)

  describe("find", function()
    it("prints the first match in any format", function()
      local first = cjson.decode(output_of("users -f json " .. mock.ORG))[2]
      local found = output_of(("find %s email=%s -f json"):format(mock.ORG, first.email))
      assert.equal(first.id, cjson.decode(found).id)
      local csv = output_of(("find %s id=%s -f csv --columns id"):format(mock.ORG, first.id))
      assert.equal("id\r\n" .. first.id .. "\r\n", csv)
      local printed = output_of(("find id=%s %s"):format(first.id, mock.ORG))
      assert.truthy(printed:find("^ROLE +NAME[^\n]+\n[^\n]+\n$"), printed)
    end)

    it("exits with 5 if there is none, and can print the error as JSON", function()
      local code, output, errors = run("find " .. mock.ORG .. " email=nobody@example.com")
      assert.same({ 5, "" }, { code, output })
      assert.truthy(errors:find("^podero: not_found: [^\n]+\n$"), errors)
      code, output, errors = run("find --errors json " .. mock.ORG .. " email=nobody@example.com")
      assert.same({ 5, "", "not_found" }, { code, output, cjson.decode(errors).kind })
    end)
  end)

  describe("for help", function()
    it("are none, --help, -h or help for an overview", function()
      local all = output_of ""
      for _, same in ipairs { "--help", "-h", "help", "help --help" } do assert.equal(all, output_of(same)) end
      for _, name in ipairs { "users", "find", "token", "get", "request", "completion", "help" } do
        assert.truthy(all:find("\n  " .. name .. " +%u"), name)
      end
    end)

    it("print the options of a command, then the common ones, then examples", function()
      local help = output_of "help users"
      for _, arguments in ipairs { "users --help", "users -h", "users x --timeout 5 --help", "--help users" } do
        assert.equal(help, output_of(arguments), arguments)
      end
      local last = 0
      for _, text in ipairs { "Usage: podero users [OPTIONS] ORG_ID...", "\n  ORG_ID", "\nWhich users\n", "--role",
        "\nOutput\n", "\nCommon options\n", "--timeout", "\nExamples\n", "man podero" } do
        local at = help:find(text, last + 1, true)
        assert.truthy(at, text)
        last = at
      end
      assert.is_nil(help:find("\n  --client-auth", 1, true))
    end)

    it("print lines that fit the terminal", function()
      for _, columns in ipairs { 20, 40, 80, 120 } do
        for _, topic in ipairs { "", "users", "find", "completion" } do
          local text, code = command.on_pty(command.line("help " .. topic, command.environment(server)), columns)
          assert.equal(0, code)
          for line in text:gmatch("([^\r\n]*)\r\n") do
            -- Commands to be copied, and names, are not broken.
            local is_whole = line:find("^    podero") or line:find("^    source") or line:find("^Usage")
              or line:find("^  %-")
            if not is_whole and line:find("%S +%S") then assert.is_true(#line <= math.min(columns, 100), line) end
          end
        end
      end
    end)
  end)
end)
