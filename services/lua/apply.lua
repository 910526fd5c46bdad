-- Applies one run of frames to a partition once, or changes nothing.
-- KEYS[1]  state hash of the partition; all keys named in ARGV[4] carry the same hash tag
-- ARGV[1]  epoch that the run was folded on
-- ARGV[2]  offset of the run's first frame; ARGV[3] of its last
-- ARGV[4]  msgpack {state, hashes, expiry, sets, living sets, living hashes, lifetime}:
--            state    {field, value, ...} of the state hash, 'cur' and 'frame' first
--            hashes   {{key, field, value, ...}, ...}  absolute values, at most 4,000 entries a group
--            expiry   {UNIX seconds, ...} one a hash, at which it ends; 0 leaves that as it is
--            sets     {{key, integer, ...}, ...}       to add
--            living   sets and hashes as these, whose keys live so many seconds from now:
--            lifetime seconds; 0 for ever
-- answer   {'APPLIED'} | {'DUP', cur} | {'GAP', cur} | {'EPOCH', epoch or ''} | {'TYPE', key}
-- Redis does not roll back, so no write may fail halfway. What the caller knows of a key may be older than what a
-- stranger wrote there, so every type is looked at first (a quarter of a µs each); lack of memory, too few replicas
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
local function of_another_type(size, groups)
  for _, group in ipairs(groups) do
    if type(redis.pcall(size, group[1])) ~= 'number' then
      return group[1]
    end
  end
end
local key = of_another_type('HLEN', run[2]) or of_another_type('SCARD', run[4]) or of_another_type('SCARD', run[5])
  or of_another_type('HLEN', run[6])
if key then
  return {'TYPE', key}
end
for at = 1, #run[1], 4000 do
  redis.call('HSET', KEYS[1], unpack(run[1], at, math.min(at + 3999, #run[1])))
end
for i, group in ipairs(run[2]) do
  redis.call('HSET', unpack(group))
  if run[3][i] > 0 then
    redis.call('EXPIREAT', group[1], run[3][i])
  end
end
for _, group in ipairs(run[4]) do
  redis.call('SADD', unpack(group))
end
for at, command in ipairs({'SADD', 'HSET'}) do
  for _, group in ipairs(run[4 + at]) do
    redis.call(command, unpack(group))
    if lifetime > 0 then
      redis.call('EXPIRE', group[1], lifetime)
    end
  end
end
return {'APPLIED'}
