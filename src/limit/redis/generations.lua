-- Counters of fixed windows, for both scripts: this stands before each of them.
--
-- KEYS      three names for each group of counters; decide.lua has more behind them
-- ARGV[1]   the time in microseconds; empty: Redis's own
-- ARGV[2]   the groups, as wire/groups.rs packs them: counters that have the same period
-- ARGV[3]   the counters, group by group: what each is called in the hashes of its group
--
-- Time is cut into generations of one period. A window that is opened in one ends in the next, so what is open now ends in
-- this generation or the next one. A group has a hash for each generation that windows end in, under the name that is its
-- number modulo three, and counters are looked for in the newest, then in the one before. All is written to the newest. That
-- is so for a window from the one before, too: there it hides what it was, and when the generation turns, it is found with
-- an end that is past. What a hash before those two has is over.
--
-- The newest hash stays the newest when the clock steps back: it is found before any other, whatever time it is, and new
-- windows go there. So no counter is ever found as it was before. Each hash tells in the field '' which generation it is, and
-- whether there is a newer one. That text is longer than what Redis keeps in a list, where looking for a field is slow.

local call, pack, read = redis.call, struct.pack, struct.unpack
local floor, fmod, max, min, rep, concat = math.floor, math.fmod, math.max, math.min, string.rep, table.concat

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local FIELD, WINDOW, LABEL = 25, 12, 72
local WRONG = 'a counter is not a fixed window'
local count = #ARGV[3] / FIELD
local fields = { read('<' .. rep('c' .. FIELD, count), ARGV[3]) }
local groups, stored = {}, {}

local function label(generation, is_followed)
  return pack('<dd', generation, is_followed and 1 or 0) .. rep('\0', LABEL - 16)
end

local newest_labels = {}
local function newest_label(generation)
  local text = newest_labels[generation]
  if not text then
    text = label(generation, false)
    newest_labels[generation] = text
  end
  return text
end

local function hash(group, generation)
  return KEYS[group.names + generation % 3]
end

-- Looks at all three hashes. The newest that there is stays it, if this is an earlier generation.
local function look_around(group)
  group.kept = {}
  for remainder = 0, 2 do
    local name = KEYS[group.names + remainder]
    local text = call('HGET', name, '')
    if text and #text == LABEL then
      local generation = read('<d', text)
      group.kept[name] = generation
      group.newest = max(group.newest, generation)
    elseif call('EXISTS', name) == 1 then
      error(WRONG)
    end
  end
  group.is_missing = group.kept[hash(group, group.newest)] ~= group.newest
end

-- What is stored of the counters of a group, one after the other.
local function find(group)
  local first, last = group.first, group.last
  group.newest = (now - fmod(now, group.period)) / group.period + 1
  local found = call('HMGET', hash(group, group.newest), '', unpack(fields, first, last))
  if found[1] ~= newest_label(group.newest) then
    look_around(group)
    found = group.is_missing and {} or call('HMGET', hash(group, group.newest), '', unpack(fields, first, last))
  end
  local missing
  for place = 2, last - first + 2 do
    if not found[place] then
      missing = missing or {}
      missing[#missing + 1] = place
    end
  end
  if missing then
    local wanted = {}
    for number, place in ipairs(missing) do wanted[number] = fields[first + place - 2] end
    -- If that is still one before those two, all in it is over.
    local before = call('HMGET', hash(group, group.newest - 1), unpack(wanted))
    for number, place in ipairs(missing) do
      found[place] = before[number] or rep('\0', WINDOW)
    end
  end
  return concat(found, '', 2, last - first + 2)
end

do
  local position, first = 1, 1
  while position <= #ARGV[2] do
    local period, kept_for, size
    period, kept_for, size, position = read('<ddI2', ARGV[2], position)
    local group = { period = period, kept_for = kept_for, names = 3 * #groups + 1, first = first, last = first + size - 1 }
    groups[#groups + 1] = group
    stored[#groups] = find(group)
    first = first + size
  end
end

-- A counter is the end of its window, and what was taken in it; both 0 if there is none.
stored = concat(stored)
if #stored ~= WINDOW * count then error(WRONG) end
local windows = { read('<' .. rep('dI4', count), stored) }

-- Makes the newest hash, and frees what is over: in the background, where expiry might not be.
local function turn(group)
  for name, generation in pairs(group.kept) do
    if generation == group.newest - 1 then
      call('HSET', name, '', label(generation, true))
    else
      call('UNLINK', name)
    end
  end
  local name = hash(group, group.newest)
  call('HSET', name, '', newest_label(group.newest))
  local left = (group.newest + 1) * group.period - now
  call('PEXPIRE', name, string.format('%d', floor(left / 1000) + group.kept_for))
end

-- Writes the counters that have changed. Returns how all of them stand, packed.
local function save(changed)
  local packed = pack('<' .. rep('dI4', count), unpack(windows, 1, 2 * count))
  local values = { read(rep('c' .. WINDOW, count), packed) }
  for _, group in ipairs(groups) do
    local written, size = {}, 0
    for key = group.first, group.last do
      if changed[key] then
        written[size + 1], written[size + 2] = fields[key], values[key]
        size = size + 2
      end
    end
    if size > 0 then
      if group.is_missing then turn(group) end
      call('HSET', hash(group, group.newest), unpack(written))
    end
  end
  return packed
end
