# Floating point: the orbits of five planets
import time

BODIES = {
    "sun": ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 39.47841760435743),
    "jupiter": ([4.84143144246472090, -1.16032004402742839, -0.103622044471123109],
                [0.606326392995832, 2.81198684491626, -0.02521836165988763], 0.03769367487038949),
    "saturn": ([8.34336671824457987, 4.12479856412430479, -0.403523417114321381],
               [-1.01077434617879, 1.82566237123041, 0.008415761376584154], 0.011286326131968767),
    "uranus": ([12.8943695621391310, -15.1111514016986312, -0.223307578892655734],
               [1.08279100644153, 0.868713018169608, -0.010832637401363636], 0.0017237240570597112),
    "neptune": ([15.3796971148509165, -25.9193146099879641, 0.179258772950371181],
                [0.979090732243898, 0.594698998647676, -0.034755955504078104], 0.0020336868699246304),
}


def advance(bodies, pairs, dt, n):
    for _ in range(n):
        for (p, v, m), (q, w, k) in pairs:
            dx, dy, dz = p[0] - q[0], p[1] - q[1], p[2] - q[2]
            mag = dt * (dx * dx + dy * dy + dz * dz) ** -1.5
            bm, bk = m * mag, k * mag
            v[0] -= dx * bk
            v[1] -= dy * bk
            v[2] -= dz * bk
            w[0] += dx * bm
            w[1] += dy * bm
            w[2] += dz * bm
        for p, v, m in bodies:
            p[0] += dt * v[0]
            p[1] += dt * v[1]
            p[2] += dt * v[2]


def work():
    bodies = [(list(p), list(v), m) for p, v, m in BODIES.values()]
    pairs = [(bodies[i], bodies[j]) for i in range(5) for j in range(i + 1, 5)]
    advance(bodies, pairs, 0.01, 20000)
    return round(bodies[0][0][0], 9)


start = time.process_time()
result = work()
print(result, time.process_time() - start)
