--- Changes a text at random, to compare decoders on what is nearly JSON: puts one of the pieces in or over, cuts up to
-- `cut` bytes out, or copies up to `copy` bytes to another place.
return function(text, pieces, cut, copy)
  local at, what = math.random(0, #text), math.random(4)
  local piece = pieces[math.random(#pieces)]
  if what == 1 then return text:sub(1, at) .. piece .. text:sub(at + 1) end
  if what == 2 then return text:sub(1, at) .. text:sub(at + 1 + math.random(1, cut)) end
  if what == 3 then return text:sub(1, at) .. piece .. text:sub(at + 1 + #piece) end
  local from = math.random(1, #text)
  return text:sub(1, at) .. text:sub(from, from + math.random(0, copy)) .. text:sub(at + 1)
end
