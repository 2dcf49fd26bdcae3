-- Decides on a batch of requests that have one charge each, under a fixed window, one after the other. That is what most
-- requests have: decide.lua would say the same of them, in more than twice the time.
--
-- KEYS      the counters, each once
-- ARGV[1]   the time in microseconds; empty: Redis's own
-- ARGV[2]   the requests, each a counter and a charge, as wire/windows.rs packs them
-- ARGV[3]   the charges that there are, each once
--
-- Returns the time, then how each counter stands, then for each request what was taken from its counter up to then, and how
-- much of that was more than asked for; -1 if it was refused.
--
-- What costs here are calls: of Redis, and then of C. So there is one of Redis to read all, and one a counter to write it;
-- and numbers are read and packed all at once.

local call, pack, read = redis.call, struct.pack, struct.unpack
local floor, max, min, rep, sub = math.floor, math.max, math.min, string.rep, string.sub

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local costs, capacities, periods, expiries, extras, parts = {}, {}, {}, {}, {}, {}
local position = 1
while position <= #ARGV[3] do
  local charge = #costs + 1
  costs[charge], capacities[charge], periods[charge], expiries[charge], extras[charge], parts[charge], position =
    read('<dddddd', ARGV[3], position)
end

-- A counter is the end of its window, and what was taken in it; both 0 if there is none.
local keys = KEYS
local stored, missing = call('MGET', unpack(keys)), rep('\0', 16)
for key = 1, #keys do
  if not stored[key] then stored[key] = missing end
end
stored = table.concat(stored)
if #stored ~= 16 * #keys then return redis.error_reply('ERR a counter is not a fixed window') end
local states = { read('<' .. rep('d', 2 * #keys), stored) }

local requests = { read('<' .. rep('I2', #ARGV[2] / 2), ARGV[2]) }
-- The charge that was taken last from a counter, and whether its window has just begun.
local taken, begun = {}, {}
local replies, size = {}, 0
for request = 1, #ARGV[2] / 2, 2 do
  local key, charge = requests[request], requests[request + 1]
  local place = 2 * key
  if now >= states[place - 1] then
    states[place - 1], states[place], begun[key] = now + periods[charge], 0, true
  end
  local used, cost, capacity, more = states[place], costs[charge], capacities[charge], 0
  if cost > 0 and cost > capacity - used then
    more = -1
  else
    used = used + cost
    -- A lease: more than is asked for, but no more than a part of what is left.
    if extras[charge] > 0 then
      more = max(0, min(extras[charge], floor((capacity - used) / parts[charge])))
      used = used + more
    end
    if cost + more > 0 then states[place], taken[key] = used, charge end
  end
  replies[size + 1], replies[size + 2] = used, more
  size = size + 2
end

local packed = pack('<' .. rep('d', 2 * #keys), unpack(states, 1, 2 * #keys))
for key = 1, #keys do
  local charge = taken[key]
  if charge and begun[key] then
    call('SET', keys[key], sub(packed, 16 * key - 15, 16 * key), 'PX', string.format('%d', expiries[charge]))
  elseif charge then
    -- The time to live stays, since the key is there: nothing expires while a script runs.
    call('SETRANGE', keys[key], '8', sub(packed, 16 * key - 7, 16 * key))
  end
end

return pack('<d', now) .. packed .. pack('<' .. rep('d', size), unpack(replies))
