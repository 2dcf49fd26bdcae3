-- Spends credits of one key, after refills that are due.
--
-- KEYS[1]   the balance
-- ARGV[1]   packed doubles: the time in microseconds, the cost; remaining, last refill, spent and generation on the
--           record; how much a refill brings, every how many microseconds (0: by the calendar), and the latest one by the
--           calendar (below 0: none)
-- ARGV[2]   how long the balance is kept, in milliseconds
--
-- Returns whether they were spent, and the balance, packed likewise.

local pack, read = struct.pack, struct.unpack
local now, cost, remaining, refilled_at, spent, generation, amount, every, due = read('<ddddddddd', ARGV[1])

local text = redis.call('GET', KEYS[1])
if text then
  local kept, kept_at, kept_spent, kept_generation = read('<dddd', text)
  if generation > kept_generation then
    -- Somebody has set the balance. What has been spent and is not stored on the record is spent from that, too.
    remaining = math.max(0, remaining - math.max(0, kept_spent - spent))
    spent = math.max(spent, kept_spent)
  else
    remaining, refilled_at, spent, generation = kept, kept_at, kept_spent, kept_generation
  end
end

if every > 0 then
  local passed = now - refilled_at
  due = passed >= every and refilled_at + passed - math.fmod(passed, every) or -1
end
if due > refilled_at and due <= now then
  remaining, refilled_at = math.max(remaining, amount), due
end

local fits = cost <= remaining
if fits and cost > 0 then
  remaining, spent = remaining - cost, spent + cost
  redis.call('SET', KEYS[1], pack('<dddd', remaining, refilled_at, spent, generation), 'PX', ARGV[2])
end
return pack('<Bdddd', fits and 1 or 0, remaining, refilled_at, spent, generation)
