-- The usual decision, before acquire.lua, which decides everything: all states are there and as the
-- client knows them, in their current windows, and every limit fits. It makes no function and no
-- table but each scope's words, since each takes a tenth of a microsecond.
--
-- Guarantee, KEYS, ARGV, expiry: as acquire.lua. Returns outcome 1, or goes on behind this part with
-- nothing written.
local function decide_quickly()
    -- A call without a lease's name only looks.
    if #ARGV[1] == 0 then return end
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
            local count = head[x + 2] + ask[q]
            if since < 0 or since >= ask[p + 1] or head[x + 1] + count > ask[p] then return end
            head[x + 2] = count
            p, q, x = p + 2, q + 1, x + 3
        end
        for _ = 1, ask[5] do
            local count = head[x + 2] + ask[q]
            local since = wall_us - head[x]
            if since < ask[p + 1] or since < 0 or wall_us >= head[x + 1]
                or count > ask[p] then return end
            head[x + 2] = count
            p, q, x = p + 2, q + 1, x + 3
        end
        for _ = 1, ask[6] do
            local expiry = now_us + ask[p + 1]
            if head[x] >= ask[p] or head[x + 1] <= now_us or head[x + 2] > now_us then return end
            head[x] = head[x] + 1
            if expiry < head[x + 1] then head[x + 1] = expiry end
            p, q, x = p + 2, q + 1, x + 3
        end
        for _ = 1, ask[7] do
            local us, rest = head[x], head[x + 1]
            if us < now_us then us, rest = now_us, 0 end
            rest = rest + ask[q + 1]
            if rest >= ask[p + 2] then us, rest = us + 1, rest - ask[p + 2] end
            -- In this order no step leaves 2^53.
            local over = us - ask[p] + ask[q]
            if over > now_us or (over == now_us and rest > ask[p + 1]) then return end
            head[x], head[x + 1] = us + ask[q], rest
            p, q, x = p + 3, q + 2, x + 2
        end
        head[6], head[7] = now_us, wall_us
        if s < scope_count then
            asks, heads = asks or {}, heads or {}
            asks[s], heads[s] = ask, head
        end
        key = key + 1 + ask[6] + (ask[4] > 0 and 1 or 0)
    end

    -- All is read; what follows writes. A set that was not there, or is none, is for acquire.lua.
    key = 2
    for s = 1, scope_count do
        local ask = s < scope_count and asks[s] or ask
        local lease_key = key + (ask[4] > 0 and 1 or 0)
        for i = 1, ask[6] do
            local expiry = now_us + ask[9 + 2 * (ask[4] + ask[5] + i)]
            local added = redis.pcall('HSET', KEYS[lease_key + i], '', '',
                ARGV[1], pack('<L', expiry))
            if added ~= 1 then
                -- Another lease has the member, and keeps it; the leases before this one go.
                if added == 2 then call('DEL', KEYS[lease_key + i]) end
                local other_key = 2
                for other = 1, s do
                    local its_ask = other < scope_count and asks[other] or ask
                    other_key = other_key + (its_ask[4] > 0 and 1 or 0)
                    for limit = 1, other == s and i - 1 or its_ask[6] do
                        call('HDEL', KEYS[other_key + limit], ARGV[1])
                    end
                    other_key = other_key + its_ask[6] + 1
                end
                return
            end
        end
        key = lease_key + ask[6] + 1
    end
    local reply
    key = 2
    for s = 1, scope_count do
        local ask = s < scope_count and asks[s] or ask
        local head = s < scope_count and heads[s] or head
        local brief = pack(slice(ARGV[3 * s - 1], 1, ask[9] / 8 - 3), unpack(head, 5))
        call('SETRANGE', KEYS[key], '32', brief)
        reply = reply and reply .. brief or brief
        key = key + 1 + ask[6] + (ask[4] > 0 and 1 or 0)
    end
    return reply
end
local quick_reply = decide_quickly()
if quick_reply then return quick_reply end
