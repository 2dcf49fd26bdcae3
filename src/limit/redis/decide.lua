-- Decides on a batch of requests, each all or nothing, one after the other.
--
-- KEYS      behind those of groups: the other counters, each once
-- ARGV[4]   the requests, as wire/mixed.rs packs them
--
-- Returns the time, and for each request whether its permits were taken, with three numbers for each of its charges.
--
-- Numbers are doubles here, exact up to 2^53: instants and times in microseconds fit, products of a limit and a period
-- do not. So those are divided by the limit beforehand, into a quotient and a remainder.

local FIXED, SLIDING, GCRA = 1, 2, 3
local INSTANTS = 64

local others = 3 * #groups
local found = #KEYS > others and call('MGET', unpack(KEYS, others + 1)) or {}
local states, expiries, kinds, changed = {}, {}, {}, {}

-- GCRA is when all is back, by how many parts that is rounded up, and under which limit; a sliding window a log of instants
-- and permits, oldest first.
local function load(kind, text)
  if kind == GCRA then
    if not text then return { 0, 0, 0 } end
    local full_at, early, limit = read('<ddd', text)
    return { full_at, early, limit }
  end
  text = text or ''
  local used = 0
  for position = 1, #text, 12 do
    local _, permits = read('<dI4', text, position)
    used = used + permits
  end
  return { text, used }
end

local function state_of(kind, key)
  local state = states[key]
  if not state then
    state = load(kind, found[key])
    states[key] = state
  end
  return state
end

local function save_other(kind, state)
  if kind == GCRA then return pack('<ddd', state[1], state[2], state[3]) end
  return state[1]
end

local function latest(log)
  if log == '' then return nil end
  return (read('<d', log, #log - 11))
end

-- Drops what is a period old, as seen from the latest instant if that is ahead of now.
local function slide(state, period)
  local log, used = state[1], state[2]
  local instant = max(now, latest(log) or now)
  local position, size = 1, #log
  while position <= size do
    local at, permits = read('<dI4', log, position)
    if at + period > instant then break end
    used, position = used - permits, position + 12
  end
  if position > 1 then state[1], state[2] = log:sub(position), used end
  return instant
end

-- Counts what was taken in one cell, a 63rd of the period, at the latest instant in it.
local function condense(log, period)
  local width = floor((period + INSTANTS - 2) / (INSTANTS - 1))
  local parts, cell, at, permits = {}, nil, nil, 0
  for position = 1, #log, 12 do
    local instant, taken = read('<dI4', log, position)
    local its = (instant - fmod(instant, width)) / width
    if cell and its ~= cell then
      parts[#parts + 1] = pack('<dI4', at, permits)
      permits = 0
    end
    cell, at, permits = its, instant, permits + taken
  end
  parts[#parts + 1] = pack('<dI4', at, permits)
  return concat(parts)
end

local function append(state, instant, cost, period)
  local log = state[1]
  if latest(log) == instant then
    local _, permits = read('<dI4', log, #log - 11)
    log = log:sub(1, #log - 12) .. pack('<dI4', instant, permits + cost)
  else
    log = log .. pack('<dI4', instant, cost)
    if #log > INSTANTS * 12 then log = condense(log, period) end
  end
  state[1], state[2] = log, state[2] + cost
end

-- When `cost` permits are there, if nobody takes any.
local function free_at(state, cost, capacity, period)
  local log, used = state[1], state[2] + cost
  for position = 1, #log, 12 do
    local at, permits = read('<dI4', log, position)
    used = used - permits
    if used <= capacity then return at + period end
  end
  return now
end

-- What is missing under GCRA: when all is back, from now, and the parts that is rounded up by.
local function gone(state, limit)
  local micros = state[1] - now
  if micros <= 0 then return 0, 0 end
  return micros, state[3] == limit and state[2] or 0
end

local replies = { pack('<d', now) }
local charges = {}
local requests, position = ARGV[4], 1

local function decide(count, takes)
  local fits = true

  for number = 1, count do
    local charge = charges[number] or {}
    local kind, key, cost, total, capacity, period
    kind, key, cost, total, capacity, period, position = read('<BI2I4ddd', requests, position)
    charge[1], charge[2], charge[3], charge[4], charge[5], charge[6] = kind, key, cost, total, capacity, period
    charges[number] = charge
    if kind == FIXED then
      charge[8], charge[9], position = read('<dd', requests, position)
      local place = 2 * key
      if now >= windows[place - 1] then windows[place - 1], windows[place] = now + period, 0 end
      if total > 0 and total > capacity - windows[place] then fits = false end
    elseif kind == SLIDING then
      charge[7], position = read('<d', requests, position)
      local state = state_of(kind, key)
      slide(state, period)
      if total > 0 and total > capacity - state[2] then fits = false end
    else
      local state = state_of(kind, key)
      local expiry, limit, whole, rest, total_whole, total_rest, capacity_whole, capacity_rest
      expiry, limit, whole, rest, total_whole, total_rest, capacity_whole, capacity_rest, position =
        read('<dddddddd', requests, position)
      charge[7], charge[8], charge[9], charge[10] = expiry, limit, whole, rest
      local micros, early = gone(state, limit)
      -- What is above the capacity is `over * limit - slack` parts, with a slack between -limit and 2 * limit.
      local over, slack = micros + total_whole - capacity_whole, early + capacity_rest - total_rest
      if total > 0 and (over >= 2 or (over == 1 and limit > slack) or (over == 0 and slack < 0)) then fits = false end
    end
  end

  local taken = fits and takes
  if taken then
    for number = 1, count do
      local charge = charges[number]
      local kind, key, cost = charge[1], charge[2], charge[3]
      if kind == FIXED then
        -- A lease: more than is asked for, but no more than a part of what is left.
        local used = windows[2 * key] + cost
        local extra = max(0, min(charge[8], floor((charge[5] - used) / charge[9])))
        charge[10] = extra
        if cost + extra > 0 then windows[2 * key], changed[key] = used + extra, true end
      elseif cost > 0 then
        local state = states[key]
        if kind == SLIDING then
          append(state, slide(state, charge[6]), cost, charge[6])
        else
          local limit, micros, early = charge[8], gone(state, charge[8])
          micros, early = micros + charge[9], early - charge[10]
          if early < 0 then micros, early = micros + 1, early + limit end
          state[1], state[2], state[3] = now + micros, early, limit
        end
        expiries[key], kinds[key] = charge[7], kind
      end
    end
  end

  replies[#replies + 1] = pack('B', taken and 1 or 0)
  for number = 1, count do
    local charge = charges[number]
    local kind, key = charge[1], charge[2]
    local state = states[key]
    if kind == FIXED then
      replies[#replies + 1] = pack('<ddd', windows[2 * key - 1], windows[2 * key], taken and charge[10] or 0)
    elseif kind == SLIDING then
      local last, free = latest(state[1]), now
      if not taken then free = free_at(state, charge[4], charge[5], charge[6]) end
      replies[#replies + 1] = pack('<ddd', last and last + charge[6] or now, state[2], free)
    else
      replies[#replies + 1] = pack('<ddd', state[1], state[2], state[3])
    end
  end
end

while position <= #requests do
  local count, how
  count, how, position = read('<I2B', requests, position)
  decide(count, how == 1)
end

save(changed)
local texts = {}
for key, expiry in pairs(expiries) do
  local text = texts[expiry]
  if not text then
    text = string.format('%d', expiry)
    texts[expiry] = text
  end
  call('SET', KEYS[others + key], save_other(kinds[key], states[key]), 'PX', text)
end

return concat(replies)
