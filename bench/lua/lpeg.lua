-- A grammar of arithmetic, parsed and evaluated with lpeg.
local lpeg = require "lpeg"
local P, R, S, V, C, Cf, Cg, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Cf, lpeg.Cg, lpeg.Ct
local space = S " \n\t" ^ 0
local number = C(P "-" ^ -1 * R "09" ^ 1) * space / tonumber
local add, mul = C(S "+-") * space, C(S "*/") * space
local function eval(a, op, b)
  if op == "+" then return a + b elseif op == "-" then return a - b elseif op == "*" then return a * b end
  return b == 0 and 0 or a // b
end
local G = P { V "Exp",
  Exp = Cf(V "Term" * Cg(add * V "Term") ^ 0, eval),
  Term = Cf(V "Factor" * Cg(mul * V "Factor") ^ 0, eval),
  Factor = number + P "(" * space * V "Exp" * P ")" * space,
}
local parts = {}
for i = 1, 2000 do parts[i] = "(" .. i .. " * " .. i % 13 .. " - 7) / " .. (i % 5 + 1) end
local text = table.concat(parts, " + ")
local words = Ct((C(R "az" ^ 1) + 1) ^ 0)
local prose = ("some words, and more words; 123 numbers "):rep(500)
local t = os.clock()
local n = 0
for _ = 1, 30 do
  n = n + (space * G * -1):match(text)
  n = n + #words:match(prose)
end
print(n, os.clock() - t)
