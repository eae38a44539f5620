--- Percent-encoding (RFC 3986, 2.1), and forms (application/x-www-form-urlencoded).

local percent = {}

--- Encodes all but the characters that RFC 3986 calls unreserved.
function percent.encode(text)
  return (text:gsub("[^%w_.~-]", function(character) return ("%%%02X"):format(character:byte()) end))
end

--- Decodes a text. What is no escape is left unchanged.
function percent.decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- Decodes a name or a value of a form or a query.
function percent.decode_form(text)
  return percent.decode((text:gsub("+", " ")))
end

return percent
