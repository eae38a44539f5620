-- The incremental JSON reader, through decoder.decode_any. lua-cjson is the oracle.
local decoder = require "decoder"
local cjson = require "cjson".new()
local mutate = require "spec.support.mutate"
local oracle = require "spec.support.oracle"
cjson.decode_invalid_numbers(false) -- by default it accepts NaN, Infinity and hexadecimal
cjson.decode_max_depth(1000)

-- The random cases differ from run to run; SEED=… repeats a run.
local seed = tonumber(os.getenv "SEED") or os.time()
math.randomseed(seed)

-- Only one case in STEP is tried: under valgrind each takes thirty times as long.
local STEP = tonumber(os.getenv "SPARSE") or 1

local null = cjson.null
local MINUS_ZERO = -1 / math.huge -- Lua 5.1 reads the constant -0.0 as 0
local math_type = math.type or function() return nil end

local function show(text)
  return (text:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function same(a, b)
  return oracle.same(a, b, true)
end

local function random_sizes(most)
  local sizes = {}
  for i = 1, math.random(1, 12) do sizes[i] = math.random(1, most) end
  return sizes
end

-- Decodes `text` whole, in two pieces split at every byte, byte by byte, and in random pieces. All outcomes, including
-- an error's offset, have to be the same; returns it.
local function decode(text, options)
  local copy = { copy = true }
  for k, v in pairs(options or {}) do copy[k] = v end
  local whole = { decoder.decode_any(text, nil, copy) }
  local function check(pieces)
    local split = { decoder.decode_any(text, pieces, copy) }
    for i = 1, 5 do
      if not same(whole[i], split[i]) then
        error(("%s in pieces of %s: %s, whole: %s"):format(show(text),
          type(pieces) == "table" and table.concat(pieces, ",") or pieces, tostring(split[i]),
          tostring(whole[i])), 0)
      end
    end
  end
  for i = math.random(STEP), math.min(#text - 1, 200), STEP do check { i, #text } end
  check(1)
  check(2)
  for _ = 1, 3 do check(random_sizes(7)) end
  return (table.unpack or unpack)(whole, 1, 5)
end

local function accepts(text, expected)
  local ok, value, message, offset = decode(text)
  if not ok then error(("%s: refused: %s at %s"):format(show(text), message, offset), 2) end
  if not same(value, expected) then
    error(("%s: got %s, not %s"):format(show(text), tostring(value), tostring(expected)), 2)
  end
  return value
end

local function refuses(text, offset, fault)
  local ok, got, message, at, cut_short = decode(text)
  if ok then error(("%s: accepted as %s"):format(show(text), tostring(got)), 2) end
  if got ~= (fault or "syntax") or at ~= offset then
    error(("%s: %s (%s) at %s"):format(show(text), got, message, at), 2)
  end
  assert.equal(got == "cut_short", cut_short)
end

describe("the JSON reader", function()
  it("reads the values of RFC 8259, section 3", function()
    accepts("null", null)
    accepts("true", true)
    accepts("false", false)
    accepts('"x"', "x")
    accepts("17", 17)
    accepts("[]", {})
    accepts("{}", {})
    accepts(" \t\r\n[ 1 , [ ] , { } , { \"a\" : null , \"b\" : [ true , false ] } ] \n",
      { 1, {}, {}, { a = null, b = { true, false } } })
    accepts('{"a":{"b":{"c":[[[1]]]}},"d":""}', { a = { b = { c = { { { 1 } } } } }, d = "" })
    accepts('{"":1}', { [""] = 1 })
  end)

  it("refuses what the grammar does not allow", function()
    refuses("[1,]", 3)
    refuses("[,1]", 1)
    refuses("[1,,2]", 3)
    refuses("[1 2]", 3)
    refuses("[1}", 2)
    refuses("[1:2]", 2)
    refuses("]", 0)
    refuses("}", 0)
    refuses(",", 0)
    refuses(":", 0)
    refuses('{"a":1,}', 7)
    refuses('{,"a":1}', 1)
    refuses('{"a" 1}', 5)
    refuses('{"a",1}', 4)
    refuses('{"a"}', 4)
    refuses('{"a":}', 5)
    refuses('{"a"::1}', 5)
    refuses('{"a":1]', 6)
    refuses('{"a":1 "b":2}', 7)
    refuses('{"a":1,,"b":2}', 7)
    refuses("{1:2}", 1)
    refuses("{null:2}", 1)
    refuses("{a:2}", 1)
    refuses("{'a':2}", 1)
    refuses("['a']", 1)
    refuses("[// x\n1]", 1)
    refuses("[/* x */1]", 1)
    refuses("[\f1]", 1)
    refuses("[\v1]", 1)
    refuses("[\0]", 1)
    refuses("[1\0]", 2)
    refuses("[\194\1601]", 1) -- a no-break space
  end)

  it("refuses misspelled literals", function()
    refuses("nul", 3, "cut_short")
    refuses("nulL", 3)
    refuses("Null", 0)
    refuses("nUll", 1)
    refuses("tru ", 3)
    refuses("TRUE", 0)
    refuses("[fals]", 5)
    refuses("falsee", 5)
    refuses("[nullnull]", 5)
    refuses("[truefalse]", 5)
    refuses("undefined", 0)
  end)

  it("refuses anything but one value", function()
    refuses("", 0, "cut_short")
    refuses("  \n", 3, "cut_short")
    refuses("[1]x", 3)
    refuses("[1] [2]", 4)
    refuses("[][]", 2)
    refuses("{}{}", 2)
    refuses("1 2", 2)
    refuses("null null", 5)
    refuses('"a""b"', 3)
    refuses("[1],", 3)
    refuses("[1]]", 3)
    refuses("[1]\0", 3)
  end)

  it("refuses a byte order mark", function()
    refuses("\239\187\191[1]", 0)
    refuses("\255\254[\0", 0)
    refuses("\254\255\0[", 0)
    local _, _, message = decoder.decode_any("\239\187\191[1]")
    assert.equal("a byte order mark", message)
  end)

  it("distinguishes input that ended too early from input that is wrong", function()
    local text = '{"a\\u00e4\\ud83d\\ude00":[1.5e-3,"x\195\164y",true,null,{"b":-0.25}]} '
    for i = 0, #text - 2 do
      refuses(text:sub(1, i), i, "cut_short")
    end
    assert.is_true((decode(text)))
    refuses("-", 1, "cut_short")
    refuses("1.", 2, "cut_short")
    refuses("1e", 2, "cut_short")
    refuses("1e+", 3, "cut_short")
    refuses('"\\ud800', 7, "cut_short")
    refuses('"\195', 2, "cut_short")
    refuses("[01", 2) -- whatever follows, this is not a number
    refuses("[1e5", 4, "cut_short")
    accepts("1e5", 1e5)
  end)

  describe("with numbers", function()
    it("keeps integers exact and distinct from floats", function()
      local integers = { "0", "1", "-1", "10", "100", "2147483647", "-2147483648", "4294967296",
        "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993",
        "999999999999999999", "9223372036854775807", "-9223372036854775807",
        "-9223372036854775808" }
      for _, text in ipairs(integers) do
        local value = accepts(text, math.tointeger and math.tointeger(tonumber(text))
          or tonumber(text))
        if math.type then
          assert.equal("integer", math.type(value))
          assert.equal(text, ("%d"):format(value))
        end
        accepts("[" .. text .. "]", { value })
        accepts('{"a":' .. text .. "}", { a = value })
      end
      for _, text in ipairs { "9223372036854775808", "-9223372036854775809", "18446744073709551615",
        "18446744073709551616", "123456789012345678901234567890", "1.0", "1e2", "-0", "-0.0", "0.0",
        "2.50", "1E0" } do
        local value = accepts(text, tonumber(text) + 0.0 == 0 and text:sub(1, 1) == "-" and MINUS_ZERO
          or tonumber(text) + 0.0)
        if math.type then assert.equal("float", math.type(value), text) end
      end
      local ok, zero = decode("-0")
      assert.is_true(ok and zero == 0 and 1 / zero < 0)
    end)

    it("rounds to the nearest double", function()
      for text, value in pairs {
        ["1e308"] = 1e308, ["-1e308"] = -1e308, ["1.7976931348623157e308"] = 1.7976931348623157e308,
        ["1.7976931348623158e308"] = 1.7976931348623157e308,
        ["5e-324"] = 5e-324, ["4.9406564584124654e-324"] = 5e-324, ["2e-324"] = 0.0, ["1e-400"] = 0.0,
        ["-1e-400"] = MINUS_ZERO, ["2.2250738585072011e-308"] = 2.2250738585072011e-308,
        ["2.2250738585072014e-308"] = 2.2250738585072014e-308,
        ["0.1"] = 0.1, ["0.30000000000000004"] = 0.30000000000000004, ["1e22"] = 1e22, ["1e23"] = 1e23,
        ["9007199254740993e0"] = 9007199254740992.0, ["9007199254740993.0"] = 9007199254740992.0,
        ["9007199254740992.5"] = 9007199254740992.0, ["9007199254740993.5"] = 9007199254740994.0,
        ["9007199254740993.00000000000000000000000000000000001"] = 9007199254740994.0,
        ["1e0"] = 1.0, ["1E+2"] = 100.0, ["1.5e-1"] = 0.15, ["123456789.123456789e-3"] = 123456.789123456789,
        ["48.208174"] = 48.208174, ["16.373819"] = 16.373819, ["52.520006599999997"] = 52.520006599999997,
        ["0e999999999999999999999"] = 0.0, ["0.0e-99999999999999999999"] = 0.0,
        ["1e-99999999999999999999"] = 0.0, ["1e00000000000000000000002"] = 100.0,
        ["0." .. ("0"):rep(400) .. "1e401"] = 1.0, ["1" .. ("0"):rep(400) .. "e-400"] = 1.0,
        ["0.000000000000000000000000"] = 0.0,
      } do
        local got = accepts(text, value)
        if math.type then assert.equal("float", math.type(got)) end
        accepts("[" .. text .. "]", { value })
      end
    end)

    it("agrees with tonumber on random numbers", function()
      for _ = 1, 20000, STEP do
        local parts = { math.random(2) == 1 and "-" or "" }
        local digits = math.random(1, 20)
        parts[2] = tostring(math.random(1, 9))
        for i = 2, digits do parts[i + 1] = tostring(math.random(0, 9)) end
        parts[#parts + 1] = "."
        for _ = 1, math.random(1, 12) do parts[#parts + 1] = tostring(math.random(0, 9)) end
        if math.random(3) == 1 then parts[#parts + 1] = "e" .. math.random(-330, 280) end
        local text = table.concat(parts)
        local ok, value = decoder.decode_any(text)
        assert.is_true(ok)
        assert.equal(tonumber(text), value)
      end
    end)

    it("refuses malformed numbers, and those that are too large for a double", function()
      refuses("[01]", 2)
      refuses("[-01]", 3)
      refuses("[00]", 2)
      refuses("[0123.5]", 2)
      refuses("[1.]", 3)
      refuses("[1.e5]", 3)
      refuses("[.5]", 1)
      refuses("[-.5]", 2)
      refuses("[+1]", 1)
      refuses("[-]", 2)
      refuses("[--1]", 2)
      refuses("[1e]", 3)
      refuses("[1e+]", 4)
      refuses("[1e+-1]", 4)
      refuses("[1e1.5]", 4)
      refuses("[1.2.3]", 4)
      refuses("[1-2]", 2)
      refuses("[1+2]", 2)
      refuses("[0x10]", 2)
      refuses("[1_000]", 2)
      refuses("[1a]", 2)
      refuses("[NaN]", 1)
      refuses("[nan]", 2)
      refuses("[Infinity]", 1)
      refuses("[-Infinity]", 2)
      refuses("[inf]", 1)
      refuses("[1e309]", 1, "range")
      refuses("[-1e309]", 1, "range")
      refuses("[1.7976931348623159e308]", 1, "range")
      refuses("[1" .. ("0"):rep(400) .. "]", 1, "range")
      refuses("1e99999999999999999999", 0, "range")
    end)

    it("ignores the locale", function()
      local set
      for _, name in ipairs { "de_DE.UTF-8", "de_AT.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR" } do
        set = set or os.setlocale(name)
      end
      if not set then pending("no locale with a decimal comma is installed") return end
      local ok, value = decoder.decode_any("[0.5,52.520006599999997,1.25e-30]", 1)
      os.setlocale("C")
      assert.is_true(ok)
      assert.same({ 0.5, 52.520006599999997, 1.25e-30 }, value)
    end)
  end)

  describe("with strings", function()
    it("decodes escapes", function()
      accepts([["\"\\\/\b\f\n\r\t"]], '"\\/\b\f\n\r\t')
      accepts([["\u0041\u00e4\u20AC\uFFFF"]], "A\195\164\226\130\172\239\191\191")
      accepts([["\u0000"]], "\0")
      accepts([["a\u0000b"]], "a\0b")
      accepts([["\u007f\u0080\u07ff\u0800"]], "\127\194\128\223\191\224\160\128")
      accepts([["\ud83d\ude00"]], "\240\159\152\128")
      accepts([["\uD800\uDC00\uDBFF\uDFFF"]], "\240\144\128\128\244\143\191\191")
      accepts([[{"\u0061\n":"\\"}]], { ["a\n"] = "\\" })
      accepts('"' .. ("x"):rep(100) .. "\\n" .. ("y"):rep(1000) .. '\\u00fc"',
        ("x"):rep(100) .. "\n" .. ("y"):rep(1000) .. "\195\188")
    end)

    it("refuses invalid escapes", function()
      refuses([["\x41"]], 2)
      refuses([["\a"]], 2)
      refuses([["\'"]], 2)
      refuses([["\U0041"]], 2)
      refuses('"\\\n"', 2)
      refuses('"\\\0"', 2)
      refuses('"\\\195\164"', 2)
      refuses([["\u"]], 3)
      refuses([["\u004"]], 6)
      refuses([["\u00g1"]], 5)
      refuses([["\u 041"]], 3)
      refuses([["\u+041"]], 3)
      refuses([["\u0x41"]], 4)
    end)

    it("refuses half a surrogate pair", function()
      refuses([["\ud800"]], 1)
      refuses([["\udbff"]], 1)
      refuses([["\udc00"]], 1)
      refuses([["\udfff"]], 1)
      refuses([["ab\ud800x"]], 3)
      refuses([["\ud800\n"]], 1)
      refuses([["\ud800\u0041"]], 1)
      refuses([["\ud800\ud800"]], 1)
      refuses([["\ud800\udbff"]], 1)
      refuses([["\ude00\ud83d"]], 1)
      refuses([["\ud83d\ude00\ude00"]], 13)
      refuses([["\ud83d\u"]], 9)
    end)

    it("refuses control characters", function()
      for c = 0, 31 do
        refuses('"' .. string.char(c) .. '"', 1)
        refuses('"0123456789abcdef' .. string.char(c) .. '"', 17)
        refuses('{"a' .. string.char(c) .. '":1}', 3)
      end
      accepts('"\127"', "\127")
    end)

    it("accepts valid UTF-8", function()
      for _, text in ipairs { "\194\128", "\223\191", "\224\160\128", "\236\191\191", "\237\159\191",
        "\238\128\128", "\239\191\191", "\240\144\128\128", "\241\128\128\128", "\244\143\191\191",
        "M\195\188nchen, Stra\195\159e", "\227\129\130\227\129\132\227\129\134" } do
        accepts('"' .. text .. '"', text)
        accepts('"' .. ("."):rep(13) .. text .. ("."):rep(20) .. '"',
          ("."):rep(13) .. text .. ("."):rep(20))
        accepts('"\\n' .. text .. '"', "\n" .. text)
      end
    end)

    it("refuses invalid UTF-8 at the offending byte", function()
      for text, offset in pairs {
        ["\128"] = 0, ["\191"] = 0, ["a\191"] = 1, ["\192\128"] = 0, ["\193\191"] = 0,
        ["\194"] = 1, ["\194a"] = 1, ["\194\194"] = 1, ["\224\128\128"] = 1, ["\224\159\191"] = 1,
        ["\225\128"] = 2, ["\225\128a"] = 2, ["\237\160\128"] = 1, ["\237\191\191"] = 1,
        ["\240\128\128\128"] = 1, ["\240\143\191\191"] = 1, ["\240\144\128"] = 3,
        ["\240\144\128\192"] = 3, ["\244\144\128\128"] = 1, ["\245\128\128\128"] = 0,
        ["\255"] = 0, ["\254"] = 0, ["\195\164\195"] = 3, ["\248\136\128\128\128"] = 0,
      } do
        refuses('"' .. text .. '"', offset + 1)
        refuses('"0123456789abcdefg' .. text .. '"', offset + 18)
        refuses('"\\n' .. text .. '"', offset + 3)
        refuses('{"' .. text .. '":1}', offset + 2)
      end
    end)

    it("agrees with a simple validator on all sequences of two and three bytes", function()
      local function valid(text)
        local i = 1
        while i <= #text do
          local a, b, c = text:byte(i, i + 2)
          if a < 0x80 then
            i = i + 1
          elseif a >= 0xC2 and a <= 0xDF and b and b >= 0x80 and b <= 0xBF then
            i = i + 2
          elseif a >= 0xE0 and a <= 0xEF and c and b >= 0x80 and b <= 0xBF and c >= 0x80 and c <= 0xBF
            and (a ~= 0xE0 or b >= 0xA0) and (a ~= 0xED or b < 0xA0) then
            i = i + 3
          else
            return false
          end
        end
        return true
      end
      local function try(text)
        if text:find "[%c\"\\]" then return end
        local expected = valid(text)
        assert.equal(expected, (decoder.decode_any('"' .. text .. '"')))
        assert.equal(expected, (decoder.decode_any('"' .. text .. '"', 1)))
      end
      for a = 0x7E, 0xFF, math.min(STEP, 5) do
        for b = 0x7E, 0xFF do
          try(string.char(a, b))
          for _, c in ipairs { 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF } do
            try(string.char(a, b, c))
          end
        end
      end
    end)

    it("accepts strings of 20 MB if the limit allows them, and otherwise says that they are too long", function()
      local long = ("0123456789abcdef\195\164\195\182"):rep(1000 * 1000)
      local text = '["' .. long .. '"]'
      local ok, value = decoder.decode_any(text, 65536, { token = 40e6 })
      assert.is_true(ok)
      assert.is_true(value[1] == long)
      value = nil
      ok, value = decoder.decode_any(text, nil, { token = 40e6 })
      assert.is_true(ok and value[1] == long)
      value, long = nil, nil
      for _, pieces in ipairs { 16384, 1e9 } do
        local decoded, fault, _, offset = decoder.decode_any(text, pieces)
        assert.is_false(decoded)
        assert.equal("token", fault)
        assert.equal(1, offset)
      end
      text = nil
      collectgarbage()
    end)
  end)

  it("limits the length of tokens, wherever the pieces end", function()
    local function limit(text, token)
      local ok, fault, _, offset = decode(text, { token = token })
      return ok or ("%s at %d"):format(fault, offset)
    end
    assert.is_true(limit('["0123456789"]', 10))
    assert.equal("token at 1", limit('["0123456789a"]', 10))
    assert.equal("token at 1", limit('{"0123456789a":1}', 10))
    assert.is_true(limit('["\\n\\n\\u00e4\\n\\n\\n\\n\\n\\n"]', 10))
    assert.equal("token at 1", limit('["\\n\\n\\u00e4\\n\\n\\n\\n\\n\\n\\n"]', 10))
    assert.equal("token at 1", limit('["0123456789a\1"]', 10))
    assert.equal("syntax at 11", limit('["012345678\1"]', 10))
    assert.is_true(limit("[1234567890]", 10))
    assert.equal("token at 1", limit("[12345678901]", 10))
    assert.equal("token at 1", limit("[12345678.01x]", 10))
    assert.equal("token at 0", limit("1234567.01e", 10))
    assert.equal("token at 3", limit("   1234567.012", 10))
  end)

  it("limits the depth of arrays and objects", function()
    local function nested(n, open, close)
      return open:rep(n) .. (open == "[" and "" or "1") .. close:rep(n)
    end
    assert.is_true((decoder.decode_any(nested(512, "[", "]"))))
    assert.is_true((decoder.decode_any(nested(512, '{"a":', "}"), 3)))
    local function is_too_deep(place, text, pieces)
      local ok, fault, _, offset = decoder.decode_any(text, pieces)
      assert.is_false(ok)
      assert.equal("depth", fault)
      assert.equal(place, offset)
    end
    is_too_deep(512, nested(513, "[", "]"))
    for _, pieces in ipairs { 1, 7, 1e9 } do
      is_too_deep(512, nested(100000, "[", "]"), pieces)
      is_too_deep(512 * 5, nested(100000, '{"a":', "}"), pieces)
    end
    local function deep(n)
      local ok_, fault_ = decoder.decode_any(nested(n, "[", "]"), 1, { depth = 3 })
      return ok_ or fault_
    end
    assert.is_true(deep(3))
    assert.equal("depth", deep(4))
    local _, value = decoder.decode_any('[{"a":[1]},[{"b":2}],{"c":{"d":[]}}]', 1)
    assert.same({ { a = { 1 } }, { { b = 2 } }, { c = { d = {} } } }, value)
    local ok = decoder.decode_any(("[{\"a\":["):rep(300) .. ("]}]"):rep(300), 5, { depth = 1024 })
    assert.is_true(ok)
  end)

  it("uses the last of equal keys, as lua-cjson does", function()
    accepts('{"a":1,"a":2}', { a = 2 })
    accepts('{"a":1,"\\u0061":[2]}', { a = { 2 } })
    accepts('{"a":1,"b":0,"a":null}', { a = null, b = 0 })
  end)

  it("returns an error of kind memory, whichever allocation fails", function()
    local text = '["' .. ("x"):rep(1000) .. "\\n" .. ("y"):rep(3000) .. '",1.' .. ("2"):rep(900)
      .. "," .. ("3"):rep(300) .. "]"
    local failures = 0
    for _, pieces in ipairs { 1, 100, 1e9 } do
      for n = 1, 100 do
        decoder.fail_after(n)
        local ok, fault, message = decoder.decode_any(text, pieces)
        decoder.fail_after(0)
        if ok then break end
        failures = failures + 1
        assert.equal("memory", fault)
        assert.equal("out of memory", message)
        assert.is_true(n < 100)
      end
    end
    assert.is_true(failures >= 9)
  end)
end)

describe("the JSON reader and lua-cjson", function()
  for _, difference in ipairs(oracle.differences) do
    it("differ in one case: " .. difference[1], function()
      assert.is_false((decode(difference[2])))
      assert.is_true((pcall(cjson.decode, difference[2])))
    end)
  end

  local function compare(text)
    local agreed, problem = oracle.compare(text, random_sizes(9))
    if agreed == nil then error(("seed %d: %s: %s"):format(seed, problem, show(text))) end
    return agreed
  end

  local seeds = {
    '{"id":"016b78a7-0c7c-4241-a277-015c3ad3cb90","role":"user","n":[1,2.5,-3e2,0,-0.0],"x":null}',
    '[{"a":"\\u00e4\\ud83d\\ude00\\n\\"","b":"M\195\188nchen"},{"c":[true,false,null,[],{}]}]',
    '[0,1,-1,10,1.5,1e5,1E-5,1e+5,123456789012345678,9007199254740993,0.1,5e-324]',
    ' { "a" : [ 1 , 2 , { "b" : "c" } ] , "d" : "e f" , "" : "" } ',
    '["","\\\\","\\/","\195\164\226\130\172\240\159\152\128",[[[[[["deep"]]]]]]]',
  }

  it("agree on ordinary texts", function()
    for _, text in ipairs(seeds) do assert.is_true(compare(text)) end
  end)

  it("agree on random mutations", function()
    local alphabet = { "[", "]", "{", "}", ",", ":", '"', "\\", "0", "1", "9", "-", "+", ".", "e", "E",
      "u", "d8", "n", "t", "f", "null", "true", "false", " ", "\n", "\0", "\31", "\127", "\128", "\195",
      "\164", "\237\160\128", "\\u", "\\ud83d", "\\ude00", "1e309", "1.", "01" }
    local both = 0
    for _ = 1, 20000, STEP do
      local text = seeds[math.random(#seeds)]
      for _ = 1, math.random(1, 3) do
        text = mutate(text, alphabet, 3, 8)
      end
      if compare(text) then both = both + 1 end
    end
    assert.is_true(both > 2000 / STEP)
  end)

  it("agree on random values", function()
    local strings = { "", "a", "\195\164", '"', "\\", "\n", "\0", "x/y", ("z"):rep(50),
      "\240\159\152\128" }
    local function random(depth)
      local what = math.random(depth > 4 and 5 or 7)
      if what == 1 then return null end
      if what == 2 then return math.random(2) == 1 end
      if what == 3 then return strings[math.random(#strings)] end
      if what == 4 then return math.random(-1000000, 1000000) end
      if what == 5 then return math.random() * 10 ^ math.random(-20, 20) end
      local t = {}
      for i = 1, math.random(0, 5) do
        t[what == 6 and i or strings[math.random(#strings)] .. i] = random(depth + 1)
      end
      return t
    end
    for _ = 1, 3000, STEP do
      assert.is_true(compare(cjson.encode(random(0))))
    end
  end)
end)

describe("values that client:get returns", function()
  local function pieces_of(text)
    local all = { 1, 2, random_sizes(7) }
    for i = math.random(STEP), math.min(#text - 1, 300), STEP do all[#all + 1] = { i, #text } end
    return all
  end

  --- The five results of decoder.value, which have to be the same however the text is cut into pieces.
  local function read(text, max)
    local options = { copy = true, max = max }
    local whole = { decoder.value(text, nil, options) }
    for _, pieces in ipairs(pieces_of(text)) do
      local cut = { decoder.value(text, pieces, options) }
      for i = 1, 5 do
        if not oracle.same(whole[i], cut[i]) then
          error(("%s in pieces: %s, whole: %s"):format(show(text), tostring(cut[i]), tostring(whole[i])), 2)
        end
      end
    end
    return (table.unpack or unpack)(whole, 1, 5)
  end

  local function reads(text, expected)
    local ok, value = read(text)
    assert.is_true(ok)
    assert.is_true(oracle.same(value, expected), show(text))
  end

  it("are those of the text, wherever it is cut", function()
    for _, text in ipairs {
      "null", "true", "false", "17", "-0.25", "1e-7", '"x"',
      '"\\u00e4\\ud83d\\ude00\195\164"', "[]", "{}", "[[]]", "[{}]", '{"":{}}',
      ' [ 1 , [ ] , { } , { "a" : null , "b" : [ true , false ] } , "c" ] ',
      '{"a":{"b":{"c":[[[1],2],3]},"d":4},"e":[5]}',
      '[[1,2],[3,[4,5],6],[[[7]]],8]', '{"a":[{"b":[{"c":{}}]}],"d":null}', '[null,[null,null],{"a":null}]',
    } do
      local ok, expected = decoder.decode_any(text)
      assert.is_true(ok)
      reads(text, expected)
    end
  end)

  it("have null in arrays and objects, so that positions and keys are kept", function()
    local _, value = read '{"a":null,"b":[null,1,null],"c":{"d":null}}'
    assert.equal(null, value.a)
    assert.equal(3, #value.b)
    assert.equal(null, value.b[1])
    assert.equal(null, value.b[3])
    assert.equal(null, value.c.d)
    assert.equal(null, select(2, read "null"))
  end)

  it("are exact integers up to 2^63 if Lua has integers, and floats otherwise", function()
    for _, text in ipairs { "0", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808" } do
      local _, value = read("[" .. text .. "]")
      if math.type then
        assert.equal("integer", math.type(value[1]))
        assert.equal(text, ("%d"):format(value[1]))
      else
        assert.equal(tonumber(text), value[1])
      end
    end
    for _, text in ipairs { "1.0", "1e2", "-0.0", "9223372036854775808", "1e22" } do
      local _, value = read("[" .. text .. "]")
      if math.type then assert.equal("float", math.type(value[1])) end
      assert.equal(tonumber(text), value[1])
    end
  end)

  it("have the last value of equal keys, whatever the others are", function()
    reads('{"a":1,"a":2}', { a = 2 })
    reads('{"a":{"b":1},"c":0,"\\u0061":[{}]}', { a = { {} }, c = 0 })
    reads('{"a":[1,2,3],"a":null}', { a = null })
    reads('[{"a":{"b":1},"a":{"c":2}}]', { { a = { c = 2 } } })
  end)

  it("may have many elements and members", function()
    local numbers, members = {}, {}
    for i = 1, 5000 do
      numbers[i] = ("%d"):format(i)
      members[i] = ('"k%d":[%d,{}]'):format(i, i)
    end
    local _, value = decoder.value("[" .. table.concat(numbers, ",") .. "]", 7)
    assert.equal(5000, #value)
    assert.equal(4999, value[4999])
    _, value = decoder.value("{" .. table.concat(members, ",") .. "}", 11)
    for i = 1, 5000 do assert.same({ i, {} }, value["k" .. i]) end
  end)

  it("may have many keys of any length in one object", function()
    local function uuid()
      return ("%08x-%04x-4%03x-8%03x-%06x%06x"):format(math.random(0, 2 ^ 31 - 1), math.random(0, 65535),
        math.random(0, 4095), math.random(0, 4095), math.random(0, 2 ^ 24 - 1), math.random(0, 2 ^ 24 - 1))
    end
    for _, make in ipairs {
      uuid, function(i) return ("%d"):format(i) end, function(i) return ("device_%06d"):format(i) end,
      function(i) return ("https://api.example.com/api/partners/v2.0/devices/%d/readings"):format(i) end,
      function(i) return uuid() .. ("/reading %d"):format(i) end,
    } do
      local members, count = {}, 30000 / math.min(STEP, 10)
      for i = 1, count do members[i] = ('"%s":%d'):format(make(i), i) end
      local ok, value, message = decoder.value("{" .. table.concat(members, ",") .. "}", 10000)
      assert.is_true(ok, message)
      local seen = 0
      for _ in pairs(value) do seen = seen + 1 end
      assert.equal(count, seen)
    end
  end)

  it("are refused if they are not JSON, with the position and whether they are cut short", function()
    for _, case in ipairs {
      { "[1,]", 3, false }, { "{\"a\" 1}", 5, false }, { "[1] x", 4, false }, { "\239\187\191[]", 0, false },
      { '["\255"]', 2, false }, { "[1e309]", 1, false }, { "", 0, true }, { "[1,2", 4, true }, { '{"a":"b', 7, true },
    } do
      local ok, kind, message, offset, cut_short = read(case[1])
      assert.is_false(ok)
      assert.equal("decode", kind)
      assert.truthy(message:find((" at byte %d"):format(case[2]), 1, true), message)
      assert.equal(case[2], offset)
      assert.equal(case[3], cut_short)
    end
  end)

  it("are nested at most 512 deep", function()
    for _, pieces in ipairs { 1, 7, 1e9 } do
      assert.is_true((decoder.value(("["):rep(512) .. ("]"):rep(512), pieces)))
      assert.is_true((decoder.value(('{"a":'):rep(512) .. "1" .. ("}"):rep(512), pieces)))
      local ok, kind, message = decoder.value(("["):rep(100000), pieces)
      assert.is_false(ok)
      assert.equal("decode", kind)
      assert.equal("arrays and objects are nested too deeply at byte 512", message)
    end
  end)

  it("count 16 bytes each towards the limit; keys do not count", function()
    for _, case in ipairs { { '[1,[],{},null,true,false,"x"]', 8 }, { '{"a":1,"b":[2]}', 4 }, { "7", 1 },
      { "[]", 1 } } do
      local text, count = case[1], case[2]
      assert.is_true((read(text, count * 16)))
      local ok, kind, message = read(text, count * 16 - 1)
      assert.is_false(ok)
      assert.equal("too_large", kind)
      assert.truthy(message:find("max_response_bytes", 1, true), message)
    end
  end)

  it("give an error of kind memory, whichever allocation fails", function()
    local text = '["' .. ("x"):rep(1000) .. "\\n" .. ("y"):rep(3000) .. '",{"a\\n":1.' .. ("2"):rep(900) .. "}]"
    local failures = 0
    for _, pieces in ipairs { 1, 100, 1e9 } do
      for n = 1, 100 do
        decoder.fail_after(n)
        local ok, kind, message = decoder.value(text, pieces)
        decoder.fail_after(0)
        if ok then break end
        failures = failures + 1
        assert.equal("memory", kind)
        assert.equal("out of memory", message)
      end
    end
    assert.is_true(failures >= 5)
  end)

  it("are those of lua-cjson for random mutations, however they are cut and limited", function()
    local both = 0
    for _ = 1, 5000, STEP do
      local text = mutate('[{"a":[1,2.5,null,{"b":"c\\u00e4"}],"d":{}},[[],true],"e\195\164",-0.5e1]',
        { "[", "]", "{", "}", ",", ":", '"', "\\", "0", "1", ".", "e", "null", "true", "\195", "\255" }, 3, 8)
      local agreed, problem = oracle.compare_values(text, random_sizes(9), math.random(2) == 1 and 0 or 160)
      if agreed == nil then error(("seed %d: %s: %s"):format(seed, problem, show(text))) end
      if agreed then both = both + 1 end
    end
    assert.is_true(both > 100 / STEP)
  end)

  it("may have strings that are not UTF-8 in error bodies", function()
    local ok, value = decoder.value_at_once('{"detail":"M\252nchen \\u00e4","\255":["\128"]}')
    assert.is_true(ok)
    assert.same({ detail = "M\252nchen \195\164", ["\255"] = { "\128" } }, value)
    assert.is_false((decoder.value_at_once '{"detail":"\1"}'))
    assert.is_false((decoder.value_at_once "M\252nchen"))
  end)
end)

describe("the text of a number", function()
  --- Without tonumber, which on Lua 5.1 may round 2^53 + 1 differently.
  local function reads_back(text, number)
    local ok, value = decoder.value(text)
    assert.is_true(ok)
    assert.equal(number, value)
    assert.equal(1 / number, 1 / value)
  end

  it("has no fraction if the number is an integer", function()
    for text, number in pairs {
      ["5"] = 10 / 2, ["0"] = 0, ["-7"] = -7, ["9007199254740992"] = 2 ^ 53, ["1700000000123456"] = 1700000000123456,
      ["1000000000000000"] = 1e15, ["-100000000000000000"] = -1e17, ["9223372036854774784"] = 2 ^ 63 - 1024,
    } do
      assert.equal(text, decoder.number(number))
    end
    if math.type then
      assert.equal("9223372036854775807", decoder.number(math.maxinteger))
      assert.equal("-9223372036854775808", decoder.number(math.mininteger))
      assert.equal("9007199254740993", decoder.number(9007199254740993))
    end
  end)

  it("is short and reads back equal", function()
    for text, number in pairs {
      ["0.1"] = 0.1, ["-1.5"] = -1.5, ["48.20817653000123"] = 48.20817653000123, ["0.30000000000000004"] = 0.1 + 0.2,
      ["1e+300"] = 1e300, ["1e-07"] = 1e-7, ["5e-324"] = 5e-324, ["9.223372036854776e+18"] = 2 ^ 63,
      ["1.7976931348623157e+308"] = 1.7976931348623157e308, ["-0"] = MINUS_ZERO,
    } do
      assert.equal(text, decoder.number(number))
      reads_back(text, number)
    end
    for _ = 1, 20000, STEP do
      local number = (math.random() - 0.5) * 10 ^ math.random(-300, 300)
      reads_back(decoder.number(number), number)
    end
  end)
end)

describe("the JSON reader", function()
  it("returns integers as such on Lua 5.3 and later", function()
    if not math.type then return end
    local _, value = decoder.decode_any("[1,1.0,-0,1e0,9223372036854775807,9223372036854775808]", 1)
    local types = {}
    for i, v in ipairs(value) do types[i] = math_type(v) end
    assert.same({ "integer", "float", "float", "float", "integer", "float" }, types)
  end)
end)
