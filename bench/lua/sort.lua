-- Sorting tables of numbers and of strings, with and without a function.
local x = 42
local function rnd() x = (x * 1103515245 + 12345) % 2147483648; return x end
local t = os.clock()
local n = 0
for _ = 1, 3 do
  local a, b = {}, {}
  for i = 1, 20000 do a[i] = rnd(); b[i] = "k" .. (rnd() % 100000) end
  table.sort(a)
  n = n + a[100] % 1000
  table.sort(a, function(p, q) return p > q end)
  n = n + a[100] % 1000
  table.sort(b)
  n = n + #b[77]
end
print(n, os.clock() - t)
