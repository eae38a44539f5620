local text = require "podero.command.text"

--- Returns when a token expires, as text.
return function(expires_at)
  local minutes = math.max(0, math.floor((expires_at - os.time()) / 60))
  return ("%s (in %d h %02d min)"):format(text.utc(expires_at), math.floor(minutes / 60), minutes % 60)
end
