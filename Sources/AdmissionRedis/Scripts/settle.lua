-- Books the difference between what a permit was charged and what was used, and frees its leases.
--
-- Guarantee: what is given back goes to the cell, window or bucket it came from while that counts
-- and while the scope lives the life in which it was charged; never above the limit. What was used
-- beyond the charge is booked now, wherever that leads. Everything is booked, or nothing where the
-- outcome is not 1. Not idempotent.
-- Composed of: as acquire.lua, with settle-quick.lua and this in their places.
--
-- KEYS, ARGV as acquire.lua's; the ask is for each limit: rolling and calendar: given back, more,
--   place (the cell's epoch, the window's start); concurrency: 1 to free the lease, else 0; bucket:
--   the pairs given back and more. An ask's birth is that of the life in which it was charged.
-- Returns as acquire.lua, outcome 1 or 5, and behind the heads for each concurrency limit 1 where a
--   lease was freed that had lived until now, else 0. Outcomes 3 and 4 as there: nothing was booked.
-- Expiry: see scope.lua.
scope.open_all()
if fault then return fault end
-- A window that was begun may raise the wall instant, and with it turn windows before it.
repeat
    local wall_before = wall_us
    for s = 1, scope_count do
        local w = words[s]
        for i = 1, w[5] do
            windows.turn_calendar(s, i, w[9] + 4 + 3 * (w[4] + i), w[8 + 2 * (w[4] + i)])
        end
        if fault then return fault end
    end
until wall_us == wall_before
for s = 1, scope_count do
    local w = words[s]
    local is_same_life = w[2] == w[w[9] + 1]
    local p, q, x = 10, w[8], w[9] + 7
    for i = 1, w[4] do
        windows.turn(s, i, x)
        if fault then return fault end
        if is_same_life and w[q] > 0 then windows.give_back(s, i, x, w[q + 2], w[q]) end
        w[x + 2] = math.min(largest_count, w[x + 2] + w[q + 1])
        p, q, x = p + 2, q + 3, x + 3
    end
    for _ = 1, w[5] do
        if is_same_life and w[q + 2] == w[x] then w[x + 2] = math.max(0, w[x + 2] - w[q]) end
        w[x + 2] = math.min(largest_count, w[x + 2] + w[q + 1])
        p, q, x = p + 2, q + 3, x + 3
    end
    for i = 1, w[6] do
        windows.purge(s, i, x)
        p, q, x = p + 2, q + 1, x + 3
    end
    for _ = 1, w[7] do
        w[x], w[x + 1] = windows.settled_bucket(w, p, q, x, is_same_life)
        p, q, x = p + 3, q + 4, x + 2
    end
    scope.prepare(s)
end
if fault then return fault end

-- All is read; what follows writes. First the lease sets, whose type alone is not known yet.
local lived = ''
for s = 1, scope_count do
    local w = words[s]
    local q, x = w[8] + 3 * (w[4] + w[5]), w[9] + 7 + 3 * (w[4] + w[5])
    for i = 1, w[6] do
        local expiry = w[q] == 1 and call('HGET', lease_key(s, i), ARGV[1])
        if expiry then
            call('HDEL', lease_key(s, i), ARGV[1])
            w[x] = math.max(0, w[x] - 1)
        end
        lived = lived .. pack('<L', expiry and read('<L', expiry) > now_us and 1 or 0)
        q, x = q + 1, x + 3
    end
end
local heads = ''
for s = 1, scope_count do heads = heads .. scope.store(s) end
return outcome(5, heads .. lived)
