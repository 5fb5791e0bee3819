-- One answer holds TAKE_BYTES and one payload; what is too long is a dead letter at once, so that it need not be sent.
-- The last two arguments of who takes: bytes of a payload at most, ms that a dead letter stays.
local TAKE_BYTES = 16777216
local bytes, dead, most = 0, 0, tonumber(ARGV[#ARGV - 1])
local stays = tonumber(ARGV[#ARGV])
local function too_long(kind, src, group, token, field, v)
  if #v <= most then bytes = bytes + #v return false end
  dead = dead + 1
  to_dead(kind, src, group, token, field, '', 0, 'the payload has ' .. #v .. ' bytes, more than the ' .. most ..
    ' that CUBIT_MAX_BODY allows', stays)
  return true
end
