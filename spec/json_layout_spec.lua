-- podero.command.json_layout checks and prints JSON without converting values. The library's reader is the oracle.

local decoder = require "decoder"
local layout = require "podero.command.json_layout"
local mutate = require "spec.support.mutate"

-- Faults of JSON that the reader refuses only because it converts strings and numbers.
local CONVERSIONS = {
  ["invalid UTF-8"] = true, ["half of a surrogate pair in a string"] = true, ["a number is too large"] = true,
}

local PIECES = {
  "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u12", "\\ud83d\\ude42", "\\u00e4", "\\n", "\\x", " ", "\n", "\t", "\r",
  "\0", "\1", "\127", "\128", "\195\164", "0", "1", "-", "+", ".", "e", "E9", "true", "null", "fals", "0.5", "1e400",
  "\"a\":", "[]",
}

local SEEDS = {
  "[]", "{}", "0", "-0.5E+3", "\"x\"", "true", "null", " [ 1 , 2.5e-1, null ] ", "[[], {}, [[]], {\"a\": {}}]",
  "{\"a\": [1, {\"b\": \"\\u0041\\\\\\\"\"}], \"c\": \"\195\164 , : ] }\", \"d\": false}\n",
  "[\"\\ud83d\\ude42\", 10, 0]",
}

--- The output of `lines`, and the number of its pieces.
local function lines(text)
  local pieces = {}
  for piece in layout.lines(text) do pieces[#pieces + 1] = piece end
  return table.concat(pieces), #pieces
end

--- The tokens of JSON text.
local function tokens(text)
  local list, i = {}, 1
  while true do
    i = text:match("^%s*()", i)
    if i > #text then return table.concat(list, "\n") end
    local after = i + 1
    if text:sub(i, i) == "\"" then
      while text:sub(after, after) ~= "\"" do after = after + (text:sub(after, after) == "\\" and 2 or 1) end
      after = after + 1
    elseif text:find("^[^%[%]{}:,]", i) then
      after = text:match("^[^%[%]{}:,%s]+()", i)
    end
    list[#list + 1], i = text:sub(i, after - 1), after
  end
end

describe("podero.command.json_layout", function()
  it("accepts the texts that the library's reader accepts", function()
    math.randomseed(os.time())
    local right, wrong = 0, 0
    for _ = 1, tonumber(os.getenv "SPARSE") and 2000 or 40000 do
      local text = SEEDS[math.random(#SEEDS)]
      for _ = 1, math.random(0, 3) do text = mutate(text == "" and "[" or text, PIECES, 3, 10) end
      local ok, _, message = decoder.decode_any(text)
      local is_json = layout.is_json(text)
      if ok then
        right = right + 1
        assert.is_true(is_json, ("%q"):format(text))
        assert.equal(tokens(text), tokens((lines(text))))
      elseif not CONVERSIONS[message] then
        wrong = wrong + 1
        assert.is_false(is_json, ("%q: %s"):format(text, message))
      end
    end
    assert.is_true(right > 100 and wrong > 100)
  end)

  it("accepts JSON that cannot be converted", function()
    for _, text in ipairs { "1e400", "[-1e999999]", "\"\\ud800\"", "[\"\255\"]", "12345678901234567890123" } do
      assert.is_true(layout.is_json(text), text)
    end
  end)

  it("accepts at most 512 levels", function()
    for _, brackets in ipairs { { "[", "]", "" }, { "{\"a\":", "}", "1" } } do
      local function nested(count) return brackets[1]:rep(count) .. brackets[3] .. brackets[2]:rep(count) end
      assert.is_true(layout.is_json(nested(512)))
      assert.is_false(layout.is_json(nested(513)))
      assert.is_false(layout.is_json(brackets[1]:rep(1e6)))
    end
  end)

  it("prints each member on a line of its own", function()
    assert.equal([==[{
  "b": [
    1,
    2.50,
    "x, [\" y"
  ],
  "a": {
    "d": [],
    "e": {},
    "c": true
  }
}]==], (lines(' {"b":[1 , 2.50,"x, [\\" y"], "a":{"d":[ ],"e":\n{} ,"c":true}}\n')))
    for _, text in ipairs { "[]", "{}", "1e400", '"x"', "null" } do
      assert.equal(text, (lines(" " .. text .. "\n")))
    end
    assert.has_error(function() layout.lines("[1") end)
  end)

  it("prints long texts in pieces", function()
    local list = {}
    for i = 1, 50000 do list[i] = ('{"n": [%d, "%d"]}'):format(i, i) end
    local text = "[" .. table.concat(list, ", ") .. "]"
    local output, count = lines(text)
    assert.is_true(count > 10 and count < 30, count)
    assert.equal((text:gsub("%s", "")), (output:gsub("%s", "")))
  end)
end)
