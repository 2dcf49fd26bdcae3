
-- What is charged, apart from whom, for both scripts: this stands behind generations.lua.
--
-- ARGV[5]   the charges that there are, each once, as wire/charges.rs packs them

local charges = {}
do
  local NUMBERS, position = rep('d', 14), 1
  while position <= #ARGV[5] do
    local charge = {}
    charge.kind, charge.cost, charge.total, charge.capacity, charge.period, charge.extra, charge.part, charge.limit,
      charge.cost_whole, charge.cost_rest, charge.total_whole, charge.total_rest, charge.capacity_whole,
      charge.capacity_rest, position = read('<' .. NUMBERS, ARGV[5], position)
    charges[#charges + 1] = charge
  end
end

