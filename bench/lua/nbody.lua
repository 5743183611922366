-- Floating point in tables.
local sqrt = math.sqrt
local v = {
  {x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, m = 39.47},
  {x = 4.84, y = -1.16, z = -0.10, vx = 0.606, vy = 2.81, vz = -0.02, m = 0.037},
  {x = 8.34, y = 4.12, z = -0.4, vx = -1.01, vy = 1.82, vz = 0.008, m = 0.011},
  {x = 12.89, y = -15.11, z = -0.22, vx = 1.08, vy = 0.86, vz = -0.01, m = 0.0017},
  {x = 15.37, y = -25.9, z = 0.17, vx = 0.97, vy = 0.59, vz = -0.034, m = 0.002},
}
local function advance(dt)
  for i = 1, 5 do
    local a = v[i]
    for j = i + 1, 5 do
      local b = v[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      local d = dx * dx + dy * dy + dz * dz
      local mag = dt / (d * sqrt(d))
      a.vx = a.vx - dx * b.m * mag; a.vy = a.vy - dy * b.m * mag; a.vz = a.vz - dz * b.m * mag
      b.vx = b.vx + dx * a.m * mag; b.vy = b.vy + dy * a.m * mag; b.vz = b.vz + dz * a.m * mag
    end
  end
  for i = 1, 5 do
    local a = v[i]
    a.x = a.x + dt * a.vx; a.y = a.y + dt * a.vy; a.z = a.z + dt * a.vz
  end
end
local t = os.clock()
for _ = 1, 50000 do advance(0.01) end
print(string.format("%.9f", v[1].x + v[3].vy), os.clock() - t)
