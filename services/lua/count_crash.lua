-- Counts a crash on a partition's next frames, for as long as they are the next ones.
-- KEYS[1]  state hash of the partition
-- ARGV[1]  epoch; ARGV[2] offset of the first frame, ARGV[3] of the last; ARGV[4] cause
-- answer   how many crashes in a row had this first frame and this cause; 0, and nothing is written, when another
--          epoch is live or the first frame is not the one after the applied offset
local state = redis.call('HMGET', KEYS[1], 'epoch', 'cur', 'crash')
if state[1] ~= ARGV[1] or tonumber(state[2]) + 1 ~= tonumber(ARGV[2]) then
  return 0
end
local first, count, cause = string.match(state[3] or '', '^(%d+),%d+,(%d+),(.*)$')
count = (first == ARGV[2] and cause == ARGV[4]) and tonumber(count) + 1 or 1
redis.call('HSET', KEYS[1], 'crash', table.concat({ARGV[2], ARGV[3], count, ARGV[4]}, ','))
return count
