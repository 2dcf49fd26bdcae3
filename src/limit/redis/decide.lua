-- Decides on a batch of requests, each all or nothing, one after the other.
--
-- ARGV[4]   the requests, as wire/mixed.rs packs them: for each request twice the number of its charges, one more if its
--           permits are to be taken, and for each charge its counter and what it is
--
-- Returns the time, and for each request whether its permits were taken, with three numbers for each of its charges.
--
-- Numbers are doubles here, exact up to 2^53: instants and times in microseconds fit, products of a limit and a period
-- do not. So those are divided by the limit beforehand, into a quotient and a remainder.
--
-- Calls of C cost more than all else here, so that what can be is read and packed at once.

local requests = { read('<' .. rep('I2', #ARGV[4] / 2), ARGV[4]) }
local changed = {}

-- Under GCRA a counter is when all is back, by how many parts that is rounded up, and under which limit.
local bucket_count = counts[GCRA]
local behind_buckets = window_count + bucket_count
local buckets = { read('<' .. rep('ddd', bucket_count), concat(stored, '', window_count + 1, behind_buckets)) }

-- A sliding window is how many permits its log holds, whether each entry of that is known to be in a cell of its own, the
-- latest instant in it, and the log: instants and permits, oldest first.
local INSTANTS, HEAD, ENTRY = 64, 13, 12
local logs = {}
for place = behind_buckets + 1, count do
  local text = stored[place]
  if text == '' then
    logs[place] = { entries = '', used = 0, is_condensed = 0 }
  elseif #text > HEAD and #text % ENTRY == HEAD % ENTRY then
    local used, is_condensed, latest, first = read('<I4Bdd', text)
    logs[place] =
      { entries = text:sub(HEAD + 1), used = used, is_condensed = is_condensed, first = first, latest = latest }
  else
    error(WRONG)
  end
end

-- Each algorithm has three functions of a charge and its counter: whether all permits are there that the request wants of it
-- up to this charge; taking those of this charge; and how the counter stands.

local fixed = {}

function fixed.fits(charge, window)
  local place = 2 * window
  if now >= windows[place - 1] then windows[place - 1], windows[place] = now + charge.period, 0 end
  return charge.total <= charge.capacity - windows[place]
end

-- Returns what is leased: more than is asked for, but no more than a part of what is left.
function fixed.take(charge, window)
  local used = windows[2 * window] + charge.cost
  local more = max(0, min(charge.extra, floor((charge.capacity - used) / charge.part)))
  if charge.cost + more > 0 then windows[2 * window], changed[window] = used + more, true end
  return more
end

function fixed.tell(_, window, _, more)
  return windows[2 * window - 1], windows[2 * window], more or 0
end

local sliding = {}

-- Drops what is a period old, as seen from the latest instant if that is ahead of now.
local function slide(log, period)
  local instant = max(now, log.latest or now)
  log.instant = instant
  if not log.first or log.first + period > instant then return end
  local entries, used, position, first = log.entries, log.used, 1, nil
  while position <= #entries do
    local at, permits = read('<dI4', entries, position)
    if at + period > instant then
      first = at
      break
    end
    used, position = used - permits, position + ENTRY
  end
  log.entries, log.used, log.first, log.latest = entries:sub(position), used, first, first and log.latest
end

-- The cells are a 63rd of a period.
local function width_of_cells(period)
  return floor((period + INSTANTS - 2) / (INSTANTS - 1))
end

-- Counts what was taken in one cell at the latest instant in it. A first instant from before is early, and is found out.
local function condense(entries, period)
  local width, parts, cell, at, permits = width_of_cells(period), {}, nil, nil, 0
  for position = 1, #entries, ENTRY do
    local instant, taken = read('<dI4', entries, position)
    local its = instant - fmod(instant, width)
    if cell and its ~= cell then
      parts[#parts + 1] = pack('<dI4', at, permits)
      permits = 0
    end
    cell, at, permits = its, instant, permits + taken
  end
  parts[#parts + 1] = pack('<dI4', at, permits)
  return concat(parts)
end

local function are_of_one_cell(instant, other, period)
  local width = width_of_cells(period)
  return instant - fmod(instant, width) == other - fmod(other, width)
end

local function append(log, cost, period)
  local entries, latest, instant = log.entries, log.latest, log.instant
  local is_full = #entries == INSTANTS * ENTRY
  if latest == instant or (is_full and log.is_condensed == 1 and are_of_one_cell(latest, instant, period)) then
    local _, permits = read('<dI4', entries, #entries - ENTRY + 1)
    entries = entries:sub(1, #entries - ENTRY) .. pack('<dI4', instant, permits + cost)
  else
    entries = entries .. pack('<dI4', instant, cost)
    if is_full then entries = condense(entries, period) end
    log.is_condensed = is_full and 1 or 0
  end
  log.entries, log.first, log.latest, log.used = entries, log.first or instant, instant, log.used + cost
end

-- When so many permits are there, if nobody takes any.
local function free_at(log, permits, capacity, period)
  local entries, used = log.entries, log.used + permits
  for position = 1, #entries, ENTRY do
    local at, taken = read('<dI4', entries, position)
    used = used - taken
    if used <= capacity then return at + period end
  end
  return now
end

function sliding.fits(charge, place)
  local log = logs[place]
  slide(log, charge.period)
  return charge.total <= charge.capacity - log.used
end

function sliding.take(charge, place)
  if charge.cost > 0 then
    append(logs[place], charge.cost, charge.period)
    changed[place] = true
  end
end

function sliding.tell(charge, place, taken)
  local log = logs[place]
  local free = taken and now or free_at(log, charge.total, charge.capacity, charge.period)
  return log.latest and log.latest + charge.period or now, log.used, free
end

local gcra = {}

-- Where the last number of a counter is.
local function last_of(place)
  return 3 * (place - window_count)
end

-- What is missing: when all is back, from now, and the parts that is rounded up by.
local function gone(charge, last)
  local micros = buckets[last - 2] - now
  if micros <= 0 then return 0, 0 end
  return micros, buckets[last] == charge.limit and buckets[last - 1] or 0
end

function gcra.fits(charge, place)
  local micros, early = gone(charge, last_of(place))
  -- What is above the capacity is `over * limit - slack` parts, with a slack between -limit and 2 * limit.
  local over = micros + charge.total_whole - charge.capacity_whole
  local slack = early + charge.capacity_rest - charge.total_rest
  return not (over >= 2 or (over == 1 and charge.limit > slack) or (over == 0 and slack < 0))
end

function gcra.take(charge, place)
  if charge.cost > 0 then
    local last = last_of(place)
    local micros, early = gone(charge, last)
    micros, early = micros + charge.cost_whole, early - charge.cost_rest
    if early < 0 then micros, early = micros + 1, early + charge.limit end
    buckets[last - 2], buckets[last - 1], buckets[last], changed[place] = now + micros, early, charge.limit, true
  end
end

function gcra.tell(_, place)
  local last = last_of(place)
  return buckets[last - 2], buckets[last - 1], buckets[last]
end

local ALGORITHMS = { fixed, gcra, sliding }
for _, charge in ipairs(charges) do charge.algorithm = ALGORITHMS[charge.kind] end

local replies, size = { now }, 1
local next_request = 1
while next_request <= #ARGV[4] / 2 do
  local head = requests[next_request]
  local takes = head % 2
  local first = next_request + 1
  next_request = first + head - takes

  local fits = true
  for place = first, next_request - 1, 2 do
    local charge = charges[requests[place + 1]]
    -- Asked of all of them: a counter that is over begins anew.
    if not charge.algorithm.fits(charge, requests[place]) and charge.total > 0 then fits = false end
  end

  local taken, leased = fits and takes == 1, {}
  if taken then
    for place = first, next_request - 1, 2 do
      local charge = charges[requests[place + 1]]
      leased[place] = charge.algorithm.take(charge, requests[place])
    end
  end

  replies[size + 1] = taken and 1 or 0
  size = size + 1
  for place = first, next_request - 1, 2 do
    local charge = charges[requests[place + 1]]
    replies[size + 1], replies[size + 2], replies[size + 3] =
      charge.algorithm.tell(charge, requests[place], taken, leased[place])
    size = size + 3
  end
end

local values = {}
split(packed_windows(), WINDOW, values)
split(pack('<' .. rep('ddd', bucket_count), unpack(buckets, 1, 3 * bucket_count)), BUCKET, values)
for place = behind_buckets + 1, count do
  local log = logs[place]
  values[place] = changed[place] and pack('<I4Bd', log.used, log.is_condensed, log.latest) .. log.entries
end
save(values, changed)

return pack('<' .. rep('d', size), unpack(replies))
