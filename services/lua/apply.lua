-- Applies one run of frames to a partition once, or changes nothing.
-- KEYS[1]  state hash of the partition; all keys named in ARGV[4] carry the same hash tag
-- ARGV[1]  epoch that the run was folded on
-- ARGV[2]  offset of the run's first frame; ARGV[3] of its last
-- ARGV[4]  msgpack {state, hashes, expiry, sets, living sets, living hashes, lifetime}:
--            state    {field, value, ...} of the state hash, 'cur' and 'frame' first
--            hashes   {lengths, {key, field, value, ..., key, ...}}: absolute values, groups one behind the other, of so
--                     many elements each, at most 4,001; a table for each would take a fifth of the call
--            expiry   {UNIX seconds, ...} one a hash, at which it ends; 0 leaves that as it is
--            sets     {lengths, {key, integer, ..., key, ...}}: to add
--            living   sets and hashes as these, whose keys live so many seconds from now:
--            lifetime seconds; 0 for ever
-- answer   {'APPLIED'} | {'DUP', cur} | {'GAP', cur} | {'EPOCH', epoch or ''} | {'TYPE', key}
-- Redis does not roll back, so no write may fail halfway. What the caller knows of a key may be older than what a
-- stranger wrote there, so every type is looked at first (0.9 µs each); lack of memory, too few replicas
-- and a demotion Redis refuses before a script's first write.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'cur')
if state[1] ~= ARGV[1] then
  return {'EPOCH', state[1] or ''}
end
local cur, first = tonumber(state[2]), tonumber(ARGV[2])
if first <= cur then
  return {'DUP', state[2]}
end
if first > cur + 1 then
  return {'GAP', state[2]}
end
local run = cmsgpack.unpack(ARGV[4])
local lifetime = run[7]
local call, pcall, type = redis.call, redis.pcall, type
-- Nor may a user lack a later command. Redis 6.2 cannot be asked: there each is tried on the state, a hash, where it
-- changes nothing, and fails in these words if at all.
local may = redis.acl_check_cmd
local function refused(words, command, ...)
  if may then
    if may(command, KEYS[1], ...) then return end
  else
    local answer = pcall(command, KEYS[1], ...)
    if type(answer) ~= 'table' or not answer.err or answer.err:find(words) then return end
    if not answer.err:find('user') then return answer end
  end
  return {err = 'NOPERM this user may not run ' .. command .. ' in a script'}
end
local no = refused('WRONGTYPE', 'SADD', '') or refused('WRONGTYPE', 'SCARD') or refused('^$', 'HLEN')
  or refused('integer', 'EXPIREAT', '') or refused('integer', 'EXPIRE', '')
if no then return no end
local function of_another_type(size, groups)
  local lengths, flat, at = groups[1], groups[2], 1
  for number = 1, #lengths do
    if type(pcall(size, flat[at])) ~= 'number' then
      return flat[at]
    end
    at = at + lengths[number]
  end
end
local key = of_another_type('HLEN', run[2]) or of_another_type('SCARD', run[4]) or of_another_type('SCARD', run[5])
  or of_another_type('HLEN', run[6])
if key then
  return {'TYPE', key}
end
for at = 1, #run[1], 4000 do
  call('HSET', KEYS[1], unpack(run[1], at, math.min(at + 3999, #run[1])))
end
local function write(command, groups, ends, lives)
  local lengths, flat, at = groups[1], groups[2], 1
  for number = 1, #lengths do
    local behind = at + lengths[number]
    if behind - at == 3 then
      call(command, flat[at], flat[at + 1], flat[at + 2])
    else
      call(command, unpack(flat, at, behind - 1))
    end
    if ends and ends[number] > 0 then
      call('EXPIREAT', flat[at], ends[number])
    elseif lives then
      call('EXPIRE', flat[at], lives)
    end
    at = behind
  end
end
local lives = lifetime > 0 and lifetime
write('HSET', run[2], run[3])
write('SADD', run[4])
write('SADD', run[5], nil, lives)
write('HSET', run[6], nil, lives)
return {'APPLIED'}
