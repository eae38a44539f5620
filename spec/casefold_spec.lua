-- Case folding, through decoder.casefold. The oracle is Unicode's data as Debian's package unicode-data has it.
local decoder = require "decoder"

local DATA = "/usr/share/unicode"
local TABLE, MAKER = "src/core/casefold_table.h", "src/core/casefold_table.lua"

local LAST = 0x10FFFF

-- Only one case in STEP is tried: under valgrind each takes thirty times as long.
local STEP = tonumber(os.getenv "SPARSE") or 1

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The bytes of a code point, those of a surrogate included.
local function encode(point)
  local function byte(shift, marker, most)
    return marker + math.floor(point / 2 ^ shift) % most
  end
  if point < 0x80 then return string.char(point) end
  if point < 0x800 then return string.char(byte(6, 0xC0, 32), byte(0, 0x80, 64)) end
  if point < 0x10000 then return string.char(byte(12, 0xE0, 16), byte(6, 0x80, 64), byte(0, 0x80, 64)) end
  return string.char(byte(18, 0xF0, 8), byte(12, 0x80, 64), byte(6, 0x80, 64), byte(0, 0x80, 64))
end

-- Unicode's data ------------------------------------------------------------------------------------------------------

--- The script of each code point that has one.
local function scripts()
  local of = {}
  for first, last, script in ("\n" .. read(DATA .. "/Scripts.txt")):gmatch("\n(%x+)%.*(%x*)%s*; (%w+)") do
    for point = tonumber(first, 16), tonumber(last == "" and first or last, 16) do of[point] = script end
  end
  return of
end

--- What each letter is folded to, and the version of the data.
local function foldings()
  local text, script, to = read(DATA .. "/CaseFolding.txt"), scripts(), {}
  for from, folded in text:gmatch("\n(%x+); [CS]; (%x+);") do
    local point = tonumber(from, 16)
    if script[point] == "Latin" or script[point] == "Greek" or script[point] == "Cyrillic" then
      to[point] = tonumber(folded, 16)
    end
  end
  return to, text:match("^# CaseFolding%-([%d.]+)%.txt")
end

local to, installed = foldings()
local version = read(TABLE):match("from Unicode ([%d.]+)")

--- Versions as numbers: 15.1.0 is 150100.
local function number_of(text)
  local major, minor, patch = text:match("^(%d+)%.(%d+)%.(%d+)$")
  return major * 10000 + minor * 100 + patch
end

-- Unicode never changes a folding; it only adds new ones. If the data are newer than the table, letters that the table
-- does not fold yet are accepted; if they are older, letters that only the table folds.
local newer, older = number_of(installed) > number_of(version), number_of(installed) < number_of(version)

local function accepts(point, folded)
  if folded == encode(to[point] or point) then return true end
  if newer then return folded == encode(point) end
  return older and not to[point]
end

-- timing --------------------------------------------------------------------------------------------------------------

local function seconds_of(text)
  local best = math.huge
  for _ = 1, 7 do
    collectgarbage()
    local _, _, seconds = decoder.casefold(text)
    best = math.min(best, seconds)
  end
  return best
end

describe("casefold", function()
  it("folds every Latin, Greek and Cyrillic code point as Unicode says, and copies all others",
    function()
      for first = 0, LAST, 0x1000 * STEP do
        local texts, expected = {}, {}
        for i = 1, 0x1000 do
          local point = first + i - 1
          texts[i], expected[i] = encode(point), encode(to[point] or point)
        end
        local folded = decoder.casefold(table.concat(texts))
        if folded ~= table.concat(expected) then
          for i = 1, 0x1000 do
            local point = first + i - 1
            local one = decoder.casefold(texts[i])
            if not accepts(point, one) then
              error(("U+%04X becomes %q instead of %q"):format(point, one, expected[i]), 0)
            end
            expected[i] = one
          end
          assert(folded == table.concat(expected), "a text is not folded as its characters are one by one")
        end
      end
    end)

  it("folds letters that are easily forgotten", function()
    local cases = {
      ["ÄÖÜẞ"] = "äöüß", ["ŁÓDŹ"] = "łódź", ["ŽIGA ČRNOMELJ"] = "žiga črnomelj", ["Đ"] = "đ",
      ["ΟΔΥΣΣΕΎΣ ὈΔΥΣΣΕΎς"] = "οδυσσεύσ ὀδυσσεύσ", ["ИВАНА ЁЖ"] = "ивана ёж",
      ["\226\132\170\226\132\171\226\132\166"] = "kåω", -- KELVIN SIGN, ANGSTROM SIGN, OHM SIGN
      ["ſ"] = "s", ["ＡＢＣ"] = "ａｂｃ", ["Ǆǅǆ"] = "ǆǆǆ", ["Ⱥ"] = "ⱥ", ["ᾈ"] = "ᾀ", ["Ꙁ"] = "ꙁ", ["Ꭓ"] = "ꭓ",
    }
    for text, folded in pairs(cases) do assert.are.equal(folded, (decoder.casefold(text))) end
  end)

  it("keeps letters of other scripts, letters that only Turkic languages fold simply, and accents", function()
    for _, text in ipairs { "ԱԲԳ", "Ⴀ", "Ꭰ", "𐐀", "İ", "e\204\129", "ß", "中" } do
      assert.are.equal(text, (decoder.casefold(text)))
    end
    assert.are_not.equal(decoder.casefold("É"), decoder.casefold("E"))
  end)

  it("folds texts of every length, with a character that is not ASCII at every position", function()
    local ascii = "@AZ[`az{ABCDEFGHIJKLMNOPQRSTUVWXYZ\0\127 0123456789"
    local lower = "@az[`az{abcdefghijklmnopqrstuvwxyz\0\127 0123456789"
    local pairs_of_letters = {
      { "Ü", "ü" }, { "Ⱥ", "ⱥ" }, { "\226\132\170", "k" }, { "ẞẞ", "ßß" }, { "\255", "\255" },
    }
    for size = 0, #ascii, STEP do
      assert.are.equal(lower:sub(1, size), (decoder.casefold(ascii:sub(1, size))))
      for _, pair in ipairs(pairs_of_letters) do
        for at = 0, size do
          local text = ascii:sub(1, at) .. pair[1] .. ascii:sub(at + 1, size)
          local expected = lower:sub(1, at) .. pair[2] .. lower:sub(at + 1, size)
          if decoder.casefold(text) ~= expected then
            error(("%q becomes %q"):format(text, (decoder.casefold(text))), 0)
          end
        end
      end
    end
  end)

  it("copies bytes that are not UTF-8, and folds the letters next to them", function()
    local cases = {
      ["\195"] = "\195", ["A\195"] = "a\195", ["\195A"] = "\195a", ["\226\132A"] = "\226\132a",
      ["\226\132\195\132"] = "\226\132\195\164", ["\195\195\132"] = "\195\195\164", ["\132\195"] = "\132\195",
      ["\193\129"] = "\193\129", -- overlong forms of A and of Ä
      ["\224\131\132"] = "\224\131\132", ["\240\128\131\132"] = "\240\128\131\132",
      ["\237\160\128A"] = "\237\160\128a", -- a surrogate
      ["\244\144\128\128A"] = "\244\144\128\128a", -- beyond U+10FFFF
      ["\240\144\144"] = "\240\144\144", ["\254\255"] = "\254\255",
    }
    for text, folded in pairs(cases) do
      assert.are.equal(folded, (decoder.casefold(text)))
      assert.are.equal("anna gruber " .. folded .. "\195", (decoder.casefold("Anna Gruber " .. text .. "\195")))
    end
  end)

  it("copies the bytes of characters that are cut off at either end of a text", function()
    local text = "ⰀÄA𐐀Ⱥ\226\132\170Ω"
    local folded = {}
    for at = 1, #text do
      for to_at = at, #text do
        local part = text:sub(at, to_at)
        local expected = part:gsub("\195\132", "\195\164"):gsub("\200\186", "\226\177\165"):gsub("\226\132\170", "k")
          :gsub("\206\169", "\207\137"):gsub("A", "a")
        folded[part] = decoder.casefold(part)
        assert.are.equal(expected, folded[part])
      end
    end
  end)

  it("writes at most CASEFOLD_BYTES bytes, a bound that letters of two bytes reach", function()
    for count = 0, 40 do
      local folded, bound = decoder.casefold(("Ⱥ"):rep(count))
      assert.are.equal(("ⱥ"):rep(count), folded)
      assert.are.equal(bound, #folded)
    end
    for point in pairs(to) do
      local letter = encode(point)
      for _, text in ipairs { letter, letter:rep(9), "Anna Gruber" .. letter, letter .. "Anna Gruber" } do
        local folded, bound = decoder.casefold(text)
        assert(#folded <= bound, text)
      end
    end
  end)

  it("folds random texts as it folds their parts", function()
    local seed = tonumber(os.getenv "SEED") or os.time()
    math.randomseed(seed)
    local parts = {
      "A", "z", "Anna Gruber", "Ä", "Ⱥ", "ẞ", "\226\132\170", "𐐀", "\195", "\226\132", "\240\144", "\255",
    }
    for _ = 1, 2000 / STEP do
      local text, expected = {}, {}
      for i = 1, math.random(0, 12) do
        -- A hyphen keeps a part from completing the cut character before it.
        text[i] = parts[math.random(#parts)] .. "-"
        expected[i] = decoder.casefold(text[i])
      end
      assert.are.equal(table.concat(expected), (decoder.casefold(table.concat(text))), "SEED=" .. seed)
    end
  end)

  it("takes time in proportion to the length of any text", function()
    local parts = {
      "Anna Gruber, Wien", "Müller", "Ⱥ", "ИВАНА", "aaaaaaa\195", "\226\132", "\240\144\144", "\255",
    }
    for _, part in ipairs(parts) do
      local short = part:rep(math.floor(250000 / #part))
      local ratio = seconds_of(short:rep(8)) / seconds_of(short)
      assert(ratio < 16, ("eight times as much text of %q takes %.1f times as long"):format(part, ratio))
    end
  end)
end)

describe("the table of case folding", function()
  it("is what its generator makes", function()
    local pipe = io.popen(("lua5.4 %s %s"):format(MAKER, DATA))
    local made = pipe:read("*a")
    pipe:close()
    assert(#made > 1000, "the generator has made no table")
    if newer or older then
      -- Debian's releases have different versions of Unicode, so only the format of the table can be compared.
      local function form(text) return (text:gsub("%d+", "0")):sub(1, 500) end
      assert.are.equal(form(read(TABLE)), form(made))
    else
      assert(made == read(TABLE), "the table is not what its generator makes: run `make casefold-table`")
    end
  end)
end)
