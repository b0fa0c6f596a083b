-- Scopes: opening a state, writing it, and expiry.
--
-- Expiry: a state, its cells and its lease sets live until `kept`, a word of the head, which is up to
-- a quarter of the scope's lifetime farther than anything in it means something. So it is moved once
-- in a quarter, and most decisions write a few bytes in place. The shard's key outlives them all.

-- Opens every scope of the call. `fault` is set where that ends the call.
function scope.open_all()
    local key, rare_at = 2, 8 * (5 + scope_count)
    for s = 1, scope_count do
        state_keys[s] = key
        local ask = ARGV[s + 1]
        local w = {read(words_format(#ask / 8), ask)}
        -- struct.unpack returns one value more, a position.
        w[#w] = nil
        w[9], last_words[s] = #w + 1, w[9] / 8
        words[s] = w
        if rare ~= '' then
            local tables_at = rare_at + 64 * limit_count(s)
            descriptors[s] = slice(rare, rare_at + 1, tables_at)
            rare_at = tables_at + 24 * w[5]
            tables[s] = slice(rare, tables_at + 1, rare_at)
        end
        scope.open(s, call('GET', KEYS[key]))
        if fault then return end
        key = key + 1 + w[6] + (w[4] > 0 and 1 or 0)
    end
end

-- Whether a state is as the client knows it and holds the plan's limits alone; then it is open.
local function open_known(s, value, size)
    local tail = 64 * limit_count(s) + 16
    if #value ~= 8 * size + tail then return false end
    local w = words[s]
    local _, birth, layout, _, one, steady_us = read('<LLLLLL', value)
    local count, version = read('<LL', value, #value - 15)
    if birth ~= w[2] or layout ~= w[1] or one ~= 1 or steady_us > time_us
        or count ~= limit_count(s) or version ~= 1 then return false end
    for i, word in ipairs({read(words_format(size), value)}) do w[w[9] + i - 1] = word end
    w[w[9] + size] = nil
    descriptors[s] = descriptors[s] or slice(value, 8 * size + 1, -17)
    return true
end

function scope.open(s, value)
    local w = words[s]
    local size = last_word(s) - w[9] + 1
    if value and open_known(s, value, size) then return end
    local old = value and scope.parse(value)
    if value and (not old or (old.layout == w[1] and 8 * size >= #value)) then
        fault = damaged(KEYS[state_keys[s]], 'state')
    elseif not descriptors[s] then
        fault = outcome(3)
    elseif not value then
        scope.create(s, scope.is_lost(s))
    elseif scope.has_stepped_back(old) then
        scope.restart(s, old)
    else
        now_us = math.max(now_us, old.steady_us)
        if old.birth ~= w[2] and scope.is_lost_and_held(s) then
            scope.create(s, true, old.birth)
        elseif old.layout == w[1] then
            for word = 0, size - 1 do w[w[9] + word] = read('<L', value, 8 * word + 1) end
        else
            scope.merge(s, old, value)
        end
    end
end

function scope.remove_expired()
    for _, lease in ipairs(expired) do call('HDEL', lease[1], lease[2]) end
    expired = {}
end

-- Fixes until when the keys of a scope live. Called when all else was read, before any write.
function scope.prepare(s)
    local w = words[s]
    local kept = w[9] + 3
    local is_expiring = rests[s] or now_us + w[3] > w[kept]
    if now_us + w[3] > w[kept] then w[kept] = math.min(most, now_us + w[3] + floor(w[3] / 4)) end
    -- A debt can last longer than any cost within the limit.
    for x = last_word(s) - 2 * w[7] + 1, last_word(s), 2 do
        if w[x] > w[kept] then w[kept], is_expiring = math.min(most, w[x]), true end
    end
    for i = 1, is_wiped[s] and w[6] or 0 do call('DEL', lease_key(s, i)) end
    if is_expiring then
        expiring[s] = lifetime_ms(w[kept])
        scope.keep_shard(w[kept])
    end
end

function scope.head(s)
    local w = words[s]
    return pack(words_format(last_word(s) - w[9] + 1), unpack(w, w[9]))
end

-- Writes a scope, and the shard where that changed; returns the scope's head.
function scope.store(s)
    scope.remove_expired()
    local w, key = words[s], state_keys[s]
    w[w[9] + 4], w[w[9] + 5], w[w[9] + 6] = 1, now_us, wall_us
    local head, ms = scope.head(s), expiring[s]
    if rests[s] then
        call('SET', KEYS[key], head .. rests[s], 'PX', ms)
    else
        call('SETRANGE', KEYS[key], '0', head)
        if ms then call('PEXPIRE', KEYS[key], ms) end
    end
    if changed[s] then
        call('SET', KEYS[key + 1], cells[s], 'PX', lifetime_ms(w[w[9] + 3]))
    elseif ms and w[4] > 0 then
        call('PEXPIRE', KEYS[key + 1], ms)
    end
    for i = 1, ms and w[6] or 0 do call('PEXPIRE', lease_key(s, i), ms) end
    scope.store_shard()
    return head
end
