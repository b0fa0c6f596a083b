-- Puts a document's limits in force: the document that was loaded last owns the parameters.
--
-- Guarantee: a limit whose parameters are not those in force gets them with a new stamp, greater
-- than every stamp before; one that has them already keeps its stamp, so that opening the same
-- document again changes nothing for anybody. Limits of other documents stay.
-- Composed of: a clock, this. O(limits).
--
-- KEYS[1] loads (hash; `admission:{admission}:load`): field `document`: the last document's hash;
--   `stamp`: the last stamp given; `l` and a limit's identity: its stamp and parameters, six words.
-- ARGV[1] the document's hash, any text; ARGV[2] 1 to change nothing and tell what is in force;
--   then for each limit its identity (bytes) and its parameters (five words, as in a descriptor).
-- Returns an array: the hash of the document that was last before (empty: none); the last stamp, one
--   word; then for each limit its stamp and parameters in force, six words (a stamp of 0: unknown).
-- Expiry: 400 days behind the last load. Stamps come from the clock, so they rise without the hash.
local call, read, pack = redis.call, struct.unpack, struct.pack
local lifetime_ms = '34560000000'
if struct.size('<L') ~= 8 then
    return redis.error_reply('ADMISSION_SERVER its integers have less than 64 bits')
end
local only_looks = ARGV[2] == '1'
local before = call('HMGET', KEYS[1], 'document', 'stamp')
local last = before[2] and #before[2] == 8 and read('<L', before[2]) or 0
local stamp = math.max(time_us, last + 1)
local is_changed = false
local reply = {before[1] or '', ''}
local writes = {}
for i = 3, #ARGV, 2 do
    local value = call('HGET', KEYS[1], 'l' .. ARGV[i])
    if not only_looks and not (value and string.sub(value, 9) == ARGV[i + 1]) then
        value, is_changed = pack('<L', stamp) .. ARGV[i + 1], true
        writes[#writes + 1] = {'l' .. ARGV[i], value}
    end
    reply[#reply + 1] = value or pack('<LLLLLL', 0, 0, 0, 0, 0, 0)
end
if not only_looks then
    for _, write in ipairs(writes) do call('HSET', KEYS[1], write[1], write[2]) end
    if is_changed then last = stamp end
    call('HSET', KEYS[1], 'document', ARGV[1], 'stamp', pack('<L', last))
    call('PEXPIRE', KEYS[1], lifetime_ms)
end
reply[2] = pack('<L', last)
return reply
