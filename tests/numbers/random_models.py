"""Hypothesis strategies for `.snn` text: random neurons in random networks."""

from hypothesis import strategies as st

STATES = ("v", "u", "w")
TAUS = ("2 ms", "5 ms", "10 ms", "10.000001 ms", "20 ms")
SURROGATES = (
    "atan(alpha = 2)",
    "superspike(beta = 5)",
    "triangle(height = 0.3)",
    "box(width = 1)",
    "spiky(width = 0.4)",
)
USER_SURROGATE = "surrogate spiky(x, width = 0.5) = 1 / width if abs(x) < width / 2 else 0.1 / (1 + abs(x))^2"


def weights(low=-0.4, high=0.4):
    return st.floats(low, high).map(lambda x: f"({x:.3f})")


@st.composite
def params(draw, states):
    lines = []
    for state in states:
        tau = draw(st.sampled_from(TAUS))
        lines.append(
            draw(
                st.sampled_from(
                    [
                        f"param tau_{state} = {tau} in (0 ms, inf)",
                        f"param tau_{state} = {tau} in (0 ms, inf) trainable",
                        f"param tau_{state} = {tau} in (1 ms, 50 ms) per neuron trainable",
                        f"param tau_{state} ~ lognormal(8 ms, 0.4) in (2 ms, 60 ms) per neuron",
                    ]
                )
            )
        )
    lines.append(draw(st.sampled_from(["param theta = 0.8 in (0, inf)", "param theta ~ uniform(0.5, 1.5) per neuron"])))
    return [*lines, "param beta = theta / 4"]


@st.composite
def equations(draw, states, port):
    """Linear coupled equations, nonlinear ones with a solver, or a difference equation; with what they need."""
    kind = draw(st.sampled_from(["linear", "linear", "linear", "nonlinear", "conditional", "step"]))
    lines = []
    for k, state in enumerate(states):
        others = [f" + {draw(weights())} * {other}" for other in states if other != state and draw(st.booleans())]
        drive = " + drive" if k == 0 else draw(st.sampled_from(["", " + 0.1", f" + {port}" if port else ""]))
        if kind == "step":
            lines.append(f"{state} = {draw(st.floats(0.2, 0.9)):.3f} * {state}{''.join(others)}{drive}")
        elif kind == "conditional":
            others = [f" + tanh({other})" for other in states if other != state]
            lines.append(f"{state}' = (-{state}{''.join(others)}{drive}) / tau_{state}")
        elif kind == "nonlinear":
            lines.append(f"{state}' = (2 * tanh({state}) - {state}{''.join(others)}{drive}) / tau_{state}")
        else:
            leak = draw(st.sampled_from([f"-{state}", f"-{state}", "0"]))
            lines.append(f"{state}' = ({leak}{''.join(others)}{drive}) / tau_{state}")
    used = f"0.3 * {port}" if port else "0"
    if draw(st.booleans()) and kind not in ("linear",):
        used += " - 0.1 * spike"
    let = [f"let drive = {used}"]
    if kind == "step":
        return [*let, "step {", *lines, "}"]
    solver = {
        "linear": ["solve auto", "solve exact", "solve euler", "solve exp_euler"],
        "conditional": ["solve auto", "solve exp_euler", "solve rk2(substeps = 2)"],
        "nonlinear": ["solve euler", "solve rk2(substeps = 2)", "solve rk4", "solve rk4(substeps = 2)"],
    }[kind]
    return [*let, *lines, draw(st.sampled_from(solver))]


@st.composite
def jumps(draw, states, ports):
    lines = []
    for port in ports:
        phase = draw(st.sampled_from(["", "at start ", "at end "]))
        body = [f"v += {port}"]
        if len(states) > 1 and draw(st.booleans()):
            body.append(draw(st.sampled_from([f"u -= 0.5 * {port}", f"u += tanh(v) * {port}"])))
        lines.append(f"on {port} {phase}{{ {'; '.join(body)} }}")
    return lines


@st.composite
def spikes(draw, states):
    lines = []
    for k in range(draw(st.integers(1, 3))):
        state = draw(st.sampled_from(states)) if k else "v"
        when = (
            f"{state} >= theta"
            if k == 0
            else draw(
                st.sampled_from(
                    [f"{state} > 2 * theta", f"{state} <= -theta", f"{state} < -0.5", f"theta + beta < {state}"]
                )
            )
        )
        scale = draw(st.sampled_from(["", " scale theta", " scale 0.5"]))
        rising = draw(st.sampled_from(["", "", " rising"]))
        emit = draw(st.sampled_from(["", "", f" emit floor(1 + abs({state}))", f" emit 0.5 * {state}"]))
        resets = [f"{state} {draw(st.sampled_from(['= 0', '-= theta', '-= 0.5 * spike', '*= 0.25']))}"]
        for other in states:
            if other != state and draw(st.booleans()):
                resets.append(f"{other} += 0.1 * {state} + 0.1")
        lines.append(f"spike when {when}{scale}{rising}{emit} {{ {'; '.join(resets)} }}")
    return lines


@st.composite
def neurons(draw, name):
    """Text of a neuron with the event port `x`, perhaps an event port `y` and an optional input `I`; and these ports."""
    states = STATES[: draw(st.integers(1, 3))]
    port = "I" if draw(st.booleans()) else ""
    events = ("x", "y") if draw(st.booleans()) else ("x",)
    lines = draw(params(states))
    lines += [f"event {event}" for event in events]
    lines += ["input I = 0.2"] if port else []
    lines += [f"state {s} = {draw(st.sampled_from(['0', '0', '0.3', 'theta / 2']))}" for s in states]
    lines += draw(equations(states, port))
    lines += draw(jumps(states, events))
    lines += draw(spikes(states))
    if draw(st.booleans()):
        clauses = f"refractory {draw(st.sampled_from(['1 ms', '2.4 ms', '2 steps']))}"
        clauses += f" hold {', '.join(states[: draw(st.integers(1, len(states)))])}" if draw(st.booleans()) else ""
        clauses += f" block {draw(st.sampled_from(events))}" if draw(st.booleans()) else ""
        lines.append(clauses)
    lines.append(f"surrogate {draw(st.sampled_from(SURROGATES))}")
    lines += draw(st.sampled_from([[], ["detach reset"], ["detach reset v"]]))
    body = "\n  ".join(lines)
    return f"neuron {name} {{\n  {body}\n}}", (*events, *([port] if port else [])), states


@st.composite
def operations(draw, delay):
    """A chain of operations with a `dense` in it; `delay` is the number of steps, 0 for none."""
    chain = [draw(st.sampled_from(["dense()", "dense(bias = true)"]))]
    extra = draw(st.sampled_from([(), (), ("scale(0.5)",), ("bias()",), ("relu()",), ("relu()", "scale(2)")]))
    chain += extra
    if delay:
        chain.insert(draw(st.integers(0, len(chain))), f"delay({delay} {'step' if delay == 1 else 'steps'})")
    return " -> ".join(chain)


@st.composite
def networks(draw):
    """Text of a model: one to three layers, edges forward, back, past layers and from signals."""
    count = draw(st.integers(1, 3))
    types = [draw(neurons(f"Cell{k}")) for k in range(draw(st.integers(1, count)))]
    sources = ["a", "b"]
    lines, layers = [], []
    for k in range(count):
        which = draw(st.integers(0, len(types) - 1))
        over = draw(st.sampled_from(["", "theta = 0.6", "tau_v = 7 ms"]))
        lines.append(f"layer h{k} = Cell{which}[{draw(st.integers(2, 4))}]({over})")
        layers.append(types[which])
    delays = st.sampled_from([0, 0, 1, 2, 3])
    back = st.integers(1, 3)
    edges = []
    for k, (_, ports, _) in enumerate(layers):
        for port in (p for p in ports if p != "I"):
            source = draw(st.sampled_from(sources[-2:]))
            edges.append(f"{source} -> {draw(operations(draw(delays)))} -> h{k}.{port}")
        if draw(st.booleans()):
            edges.append(f"h{k} -> {draw(operations(draw(back)))} -> h{k}.x")
        if "I" in ports and draw(st.booleans()):
            source = draw(st.sampled_from([*sources, f"{sources[-1]}.v" if k else "b"]))
            edges.append(f"{source} -> {draw(operations(draw(delays)))} -> h{k}.I")
        if "I" in ports and draw(st.booleans()):
            later = draw(st.integers(k, count - 1))
            signal = draw(st.sampled_from(["v", "v.pre", layers[later][2][-1]]))
            edges.append(f"h{later}.{signal} -> {draw(operations(draw(back)))} -> h{k}.I")
        if k and draw(st.booleans()):
            edges.append(f"h{k} -> {draw(operations(draw(back)))} -> h{k - 1}.x")
        if draw(st.booleans()):
            edges.append(f"a -> {draw(operations(draw(delays)))} -> h{k}.x")
        sources.append(f"h{k}")
    edges = draw(st.permutations(edges))
    body = "\n  ".join(["dt = 1 ms", "input a : real[3]", "input b : spikes[2]", *lines, *edges])
    types_text = "\n".join(text for text, _, _ in types)
    return f"{USER_SURROGATE}\n{types_text}\nnetwork Net {{\n  {body}\n}}"
