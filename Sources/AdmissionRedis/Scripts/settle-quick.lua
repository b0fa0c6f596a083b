-- The usual settlement, before settle.lua, which books everything: all states are there, in the life
-- in which they were charged, and what goes back goes to their current windows.
--
-- Guarantee, KEYS, ARGV, expiry: as settle.lua. Returns outcome 1, or goes on behind this part with
-- nothing written.
local function settle_quickly()
    local call, read, pack, slice = redis.call, struct.unpack, struct.pack, string.sub
    local scope_count = math.floor((#ARGV - 1) / 3)
    local now_us = time_us
    -- Of the last scope, which is the only one most often, and of those before it.
    local ask, head
    local asks, heads
    local key = 2
    for s = 1, scope_count do
        -- The head and the plan's fields, without the descriptors.
        local value = call('GETRANGE', KEYS[key], '0', ARGV[3 * s])
        local format = ARGV[3 * s - 1]
        ask = {read(format, ARGV[3 * s + 1])}
        if #value ~= ask[9] then return end
        head = {read(slice(format, 1, #value / 8 + 1), value)}
        if head[3] ~= ask[1] or head[2] ~= ask[2] or head[6] > now_us
            or now_us + ask[3] > head[4] then return end
        local p, q, x = 10, ask[8], 8
        for _ = 1, ask[4] do
            local since = now_us - head[x] * ask[p + 1]
            local count = head[x + 2] - ask[q]
            if since < 0 or since >= ask[p + 1] or count < 0
                or (ask[q] > 0 and ask[q + 2] ~= head[x]) then return end
            head[x + 2] = math.min(2199023255550, count + ask[q + 1])
            p, q, x = p + 2, q + 3, x + 3
        end
        for _ = 1, ask[5] do
            local count = head[x + 2] - ask[q]
            if wall_us < head[x] or wall_us >= head[x + 1] or count < 0
                or (ask[q] > 0 and ask[q + 2] ~= head[x]) then return end
            head[x + 2] = math.min(2199023255550, count + ask[q + 1])
            p, q, x = p + 2, q + 3, x + 3
        end
        for _ = 1, ask[6] do
            -- Before the earliest expiry no lease has run out.
            if head[x + 1] <= now_us then return end
            p, q, x = p + 2, q + 1, x + 3
        end
        for _ = 1, ask[7] do
            local us, rest, parts = head[x] - ask[q], head[x + 1] - ask[q + 1], ask[p + 2]
            if rest < 0 then us, rest = us - 1, rest + parts end
            if us < now_us then us, rest = now_us, 0 end
            us, rest = us + ask[q + 2], rest + ask[q + 3]
            if rest >= parts then us, rest = us + 1, rest - parts end
            if us > head[4] then return end
            head[x], head[x + 1] = us, rest
            p, q, x = p + 3, q + 4, x + 2
        end
        head[6], head[7] = now_us, wall_us
        if s < scope_count then
            asks, heads = asks or {}, heads or {}
            asks[s], heads[s] = ask, head
        end
        key = key + 1 + ask[6] + (ask[4] > 0 and 1 or 0)
    end

    -- All is read; what follows writes, and nothing of it can fail but on a key that is no set.
    local reply, lived = '', ''
    key = 2
    for s = 1, scope_count do
        local ask = s < scope_count and asks[s] or ask
        local head = s < scope_count and heads[s] or head
        local q, x = ask[8] + 3 * (ask[4] + ask[5]), 8 + 3 * (ask[4] + ask[5])
        local lease_key = key + (ask[4] > 0 and 1 or 0)
        for i = 1, ask[6] do
            local freed = ask[q] == 1 and call('HDEL', KEYS[lease_key + i], ARGV[1]) or 0
            if head[x] > 0 then head[x] = head[x] - freed end
            lived = lived .. pack('<L', freed)
            q, x = q + 1, x + 3
        end
        local brief = pack(slice(ARGV[3 * s - 1], 1, ask[9] / 8 - 3), unpack(head, 5))
        call('SETRANGE', KEYS[key], '32', brief)
        reply = reply .. brief
        key = lease_key + ask[6] + 1
    end
    return reply .. lived
end
local quick_reply = settle_quickly()
if quick_reply then return quick_reply end
