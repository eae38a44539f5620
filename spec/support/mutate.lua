--- Returns a text with a random change, to compare decoders on almost valid JSON: inserts one of the pieces, overwrites
-- with one, removes up to `cut` bytes, or copies up to `copy` bytes to another position.
return function(text, pieces, cut, copy)
  local at, what = math.random(0, #text), math.random(4)
  local piece = pieces[math.random(#pieces)]
  if what == 1 then return text:sub(1, at) .. piece .. text:sub(at + 1) end
  if what == 2 then return text:sub(1, at) .. text:sub(at + 1 + math.random(1, cut)) end
  if what == 3 then return text:sub(1, at) .. piece .. text:sub(at + 1 + #piece) end
  local from = math.random(1, #text)
  return text:sub(1, at) .. text:sub(from, from + math.random(0, copy)) .. text:sub(at + 1)
end
