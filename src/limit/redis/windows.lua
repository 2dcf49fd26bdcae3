-- Decides on a batch of requests that have one charge each, under a fixed window, one after the other. That is what most
-- requests have: decide.lua would say the same of them, in more time.
--
-- ARGV[4]   the requests, each a counter and a charge, as wire.rs packs them
--
-- Returns the time, then how each counter stands, then for each request a number: what was taken from its counter up to
-- then, and 2^32 times what of that was more than asked for; if it was refused, what was taken from its counter, below -1.
--
-- What costs here are calls: of Redis, and then of C. So there is one of Redis to read a group of counters, and one to write
-- it; and numbers are read and packed all at once.

local size = #ARGV[4] / 4
local requests = { read('<' .. rep('I2', 2 * size), ARGV[4]) }
local changed, replies = {}, {}
for request = 1, size do
  local key, charge = requests[2 * request - 1], charges[requests[2 * request]]
  local place = 2 * key
  if now >= windows[place - 1] then
    windows[place - 1], windows[place] = now + charge.period, 0
  end
  local used, cost, capacity = windows[place], charge.cost, charge.capacity
  if cost > 0 and cost > capacity - used then
    replies[request] = -1 - used
  else
    used = used + cost
    local more = charge.extra
    if more > 0 then
      -- A lease: more than is asked for, but no more than a part of what is left.
      more = max(0, min(more, floor((capacity - used) / charge.part)))
      used = used + more
    end
    if cost + more > 0 then windows[place], changed[key] = used, true end
    replies[request] = used + more * 4294967296
  end
end

local packed = packed_windows()
save({ read(rep('c' .. WINDOW, count), packed) }, changed)

return pack('<d', now) .. packed .. pack('<' .. rep('d', size), unpack(replies))
