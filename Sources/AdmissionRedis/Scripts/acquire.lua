-- Decides one cost on every limit of one or several scopes, and charges all of them or none.
--
-- Guarantee: admitted only if every limit fits at the instants in the reply; a refusal changes no
-- counter. Nothing is written before everything was read and found whole. Not idempotent.
-- Composed of: a clock, acquire-quick.lua, words.lua, scope.lua, loss.lua, merge.lua, windows.lua,
--   answers.lua, this. O(limits); a window's turn or a refusal walks over at most 96 cells more.
--
-- KEYS[1] shard (string); then for each scope: state (string), cells (string; only with rolling
--   limits), one lease set (hash) for each concurrency limit.
-- ARGV[1] lease member; for each scope an ask; then, if at all, the rare part: what is needed where
--   the client and the store do not agree. Their words, all integers below 2^53, and those of the
--   reply are in docs/redis-protocol.md.
-- Returns one string of words. Admitted the quick way: 1, and each scope's head from there on. Else the
--   outcome (5 admitted, 2 rejected, 3 rare part needed, 4 newer parameters, 6 member taken), steady
--   and wall instant in us, events; each scope's whole head; if rejected, for each limit 0 (fits), 1
--   (until unknown) or the instant from which it fits. Or an error that begins with ADMISSION_.
-- Expiry: see scope.lua; no key is left without one.
scope.open_all()
if fault then return fault end

local refused
repeat
    local wall_before = wall_us
    local at = 0
    refused = false
    scope.look_again()
    for s = 1, scope_count do
        local w = words[s]
        local p, q, x = 10, w[8], w[9] + 7
        for i = 1, w[4] do
            windows.turn(s, i, x)
            at = at + 1
            if w[x + 1] + w[x + 2] + w[q] > w[p] then
                refused = scope.refuse(at, windows.rolling_fits(s, i, x, w[q], w[p]))
            end
            p, q, x = p + 2, q + 1, x + 3
        end
        for i = 1, w[5] do
            windows.turn_calendar(s, i, x, w[p])
            at = at + 1
            if w[x + 2] + w[q] > w[p] then
                refused = scope.refuse(at, w[x + 1] + (w[q] > 0 and w[p + 1] or 0))
            elseif wall_us - w[x] < w[p + 1] and w[q] > 0 then
                refused = scope.refuse(at, w[x] + w[p + 1])
            end
            p, q, x = p + 2, q + 1, x + 3
        end
        for i = 1, w[6] do
            windows.purge(s, i, x)
            at = at + 1
            if w[x] >= w[p] or w[x + 2] > now_us then refused = scope.refuse(at, 1) end
            p, q, x = p + 2, q + 1, x + 3
        end
        for _ = 1, w[7] do
            at = at + 1
            local us, rest = windows.bucket(w, p, q, x)
            -- In this order no step leaves 2^53.
            local over = us - w[p] + w[q]
            if over > now_us or (over == now_us and rest > w[p + 1]) then
                refused = scope.refuse(at, rest > w[p + 1] and over + 1 or over)
            end
            p, q, x = p + 3, q + 2, x + 2
        end
        if fault then return fault end
    end
until wall_us == wall_before
-- A call without a lease's name only looks.
if refused or #ARGV[1] == 0 then return scope.rejected() end

for s = 1, scope_count do scope.prepare(s) end
if fault then return fault end
-- All is read; what follows writes. First the lease sets, whose type alone is not known yet.
for s = 1, scope_count do
    local w = words[s]
    local p, x = 10 + 2 * (w[4] + w[5]), w[9] + 7 + 3 * (w[4] + w[5])
    for i = 1, w[6] do
        local expiry = now_us + w[p + 1]
        -- A value of more than 64 bytes makes the set a table: a list is searched from its front.
        local added = redis.pcall('HSET', lease_key(s, i), '', string.rep('-', 65),
            ARGV[1], pack('<L', expiry))
        local failure = added ~= 1 and scope.odd_lease(s, i, x, added)
        if failure then return failure end
        w[x], w[x + 1] = w[x] + 1, math.min(w[x + 1], expiry)
        p, x = p + 2, x + 3
    end
end
local heads = ''
for s = 1, scope_count do
    local w = words[s]
    local p, q, x = 10 + 2 * (w[4] + w[5] + w[6]), w[8], w[9] + 7
    for _ = 1, w[4] + w[5] do
        w[x + 2] = w[x + 2] + w[q]
        q, x = q + 1, x + 3
    end
    q, x = q + w[6], x + 3 * w[6]
    for _ = 1, w[7] do
        local us, rest = windows.bucket(w, p, q, x)
        w[x], w[x + 1] = us + w[q], rest
        p, q, x = p + 3, q + 2, x + 2
    end
    heads = heads .. scope.store(s)
end
return outcome(5, heads)
