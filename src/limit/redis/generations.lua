-- Where counters are kept, for both scripts: this stands before each of them.
--
-- KEYS      three names for each group of counters
-- ARGV[1]   the time in microseconds; empty: Redis's own
-- ARGV[2]   the groups, as wire/groups.rs packs them: counters that have the same algorithm and the same span. A span after
--           a counter was last written it is as good as new. Groups are in the order of their algorithms
-- ARGV[3]   the counters, group by group: what each is called in the hashes of its group
--
-- Time is cut into generations of one span. A counter that is written in one is over in the next, so what is not over now
-- will be in this generation or the next one. A group has a hash for each generation that counters are over in, under the
-- name that is its number modulo three, and counters are looked for in the newest, then in the one before. All is written to
-- the newest. That is so for a counter from the one before, too: there it hides what it was, and when the generation turns,
-- it is found, and is over. What a hash before those two has is over.
--
-- The newest hash stays the newest when the clock steps back: it is found before any other, whatever time it is, and all is
-- written to it. So no counter is ever found as it was before. Each hash tells in the field '' which generation it is, and
-- whether there is a newer one. That text is longer than what Redis keeps in a list, where looking for a field is slow.

local call, pack, read = redis.call, struct.pack, struct.unpack
local floor, fmod, max, min, rep, concat = math.floor, math.fmod, math.max, math.min, string.rep, table.concat

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local FIELD, LABEL = 25, 72
local FIXED, GCRA = 1, 2
-- How long a counter is; a sliding window is as long as it has to be.
local WINDOW, BUCKET = 12, 24
local WIDTHS = { WINDOW, BUCKET }
local NEW = { rep('\0', WINDOW), rep('\0', BUCKET), '' }
local WRONG = 'a counter is not what it should be'

local count = #ARGV[3] / FIELD
local fields = { read('<' .. rep('c' .. FIELD, count), ARGV[3]) }
-- The counters as they are stored, and how many there are under each algorithm.
local stored, counts = {}, { 0, 0, 0 }
local groups = {}

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

-- Reads the counters of a group.
local function find(group)
  local first, last = group.first, group.last
  group.newest = (now - fmod(now, group.span)) / group.span + 1
  local found = call('HMGET', hash(group, group.newest), '', unpack(fields, first, last))
  if found[1] ~= newest_label(group.newest) then
    look_around(group)
    found = group.is_missing and {} or call('HMGET', hash(group, group.newest), '', unpack(fields, first, last))
  end
  local width, missing = WIDTHS[group.algorithm], nil
  for place = first, last do
    local value = found[place - first + 2]
    if not value then
      missing = missing or {}
      missing[#missing + 1] = place
    elseif width and #value ~= width then
      error(WRONG)
    end
    stored[place] = value
  end
  if missing then
    local wanted, new = {}, NEW[group.algorithm]
    for number, place in ipairs(missing) do wanted[number] = fields[place] end
    -- If that is still one before those two, all in it is over.
    local before = call('HMGET', hash(group, group.newest - 1), unpack(wanted))
    for number, place in ipairs(missing) do
      local value = before[number] or new
      if width and #value ~= width then error(WRONG) end
      stored[place] = value
    end
  end
end

do
  local position, first = 1, 1
  while position <= #ARGV[2] do
    local algorithm, span, kept_for, size
    algorithm, span, kept_for, size, position = read('<BddI2', ARGV[2], position)
    local group = { algorithm = algorithm, span = span, kept_for = kept_for, first = first, last = first + size - 1 }
    group.names = 3 * #groups + 1
    groups[#groups + 1] = group
    find(group)
    counts[algorithm] = counts[algorithm] + size
    first = first + size
  end
end

-- A fixed window is its end, and what was taken in it; both 0 if there is none.
local window_count = counts[FIXED]
local windows = { read('<' .. rep('dI4', window_count), concat(stored, '', 1, window_count)) }

local function packed_windows()
  return pack('<' .. rep('dI4', window_count), unpack(windows, 1, 2 * window_count))
end

-- Adds counters that are packed one after the other to a list.
local function split(packed, width, values)
  local split = { read(rep('c' .. width, #packed / width), packed) }
  for number = 1, #packed / width do values[#values + 1] = split[number] end
end

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
  local left = (group.newest + 1) * group.span - now
  call('PEXPIRE', name, string.format('%d', floor(left / 1000) + group.kept_for))
end

-- Writes those of the counters that have changed.
local function save(values, changed)
  for _, group in ipairs(groups) do
    local written, size = {}, 0
    for place = group.first, group.last do
      if changed[place] then
        written[size + 1], written[size + 2] = fields[place], values[place]
        size = size + 2
      end
    end
    if size > 0 then
      if group.is_missing then turn(group) end
      call('HSET', hash(group, group.newest), unpack(written))
    end
  end
end
