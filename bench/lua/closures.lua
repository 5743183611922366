-- Closures, upvalues, varargs, coroutines and metatables.
local t = os.clock()
local function counter() local c = 0; return function(d) c = c + d; return c end end
local fs = {}
for i = 1, 100 do fs[i] = counter() end
local s = 0
for k = 1, 3000 do for i = 1, 100 do s = s + fs[i](k) end end
local gen = coroutine.wrap(function() local i = 0; while true do i = i + 1; coroutine.yield(i) end end)
for _ = 1, 100000 do s = s + gen() end
local V = {}
V.__index = V
V.__add = function(a, b) return setmetatable({n = a.n + b.n}, V) end
function V:get() return self.n end
local v = setmetatable({n = 0}, V)
for i = 1, 200000 do v = v + setmetatable({n = i % 3}, V); s = s + v:get() % 2 end
local function sum(...) local r = 0; for i = 1, select("#", ...) do r = r + (select(i, ...)) end return r end
for i = 1, 50000 do s = s + sum(i, 2, 3, 4) end
print(s, os.clock() - t)
