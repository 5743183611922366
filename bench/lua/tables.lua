-- A sieve in an array, a word count in a hash table, insertion and removal.
local t = os.clock()
local f, c = {}, 0
for i = 2, 400000 do f[i] = true end
for i = 2, 632 do if f[i] then for j = i * i, 400000, i do f[j] = false end end end
for i = 2, 400000 do if f[i] then c = c + 1 end end
local count = {}
for i = 1, 200000 do local k = "w" .. (i * 7919 % 5003); count[k] = (count[k] or 0) + 1 end
for _, v in pairs(count) do c = c + v end
local q = {}
for i = 1, 50000 do table.insert(q, i) end
while #q > 0 do c = c + table.remove(q) end
print(c, os.clock() - t)
