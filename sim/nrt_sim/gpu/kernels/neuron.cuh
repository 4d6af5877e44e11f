// The neuron of nrt.network.neuron: one step, operation for operation as `dense` of nrt_sim.cpu.fire.
//
// Every operation is rounded on its own (__fmul_rn and its kin are never fused), so a membrane agrees bit for bit with
// the other engines where its input does. Whether it fires, plainly or with a payload, and when are template parameters,
// for they decide which state there is and what is computed; the other choices are branches that a launch takes alike.

enum Kind { PLAIN, PAYLOAD, NONE };
enum Spikes { BINARY, SIGNED, COUNT, ROUND, GRADED };
enum Reset { HARD, SOFT, KEEP };  // KEEP: none
enum Timing { IMMEDIATE, DELAYED, FIRE_FIRST };

struct Parameter {
    const float *each;  // of every place, or null
    float all;
    int unused;

    __device__ float at(int place) const { return each ? each[place] : all; }
};

struct Neuron {
    Parameter decay, gain, drive, threshold, v_reset, v_min, synapse_decay, synapse_gain, bias;
    float most;
    int spikes, reset, strict, floored, synapse;
    int unused;
};

struct State {
    float v, i, s;  // membrane, synaptic current, spikes of the step before (delayed timing)
};

__device__ inline float silenced(float x) { return fabsf(x) >= 1e-30f ? x : 0.0f; }

__device__ inline bool over(float v, float threshold, int strict) {
    return strict ? v > threshold : v >= threshold;
}

template <int KIND>
__device__ inline float fired(const Neuron &neuron, float v, float threshold) {
    if (KIND == NONE) return 0.0f;
    if (KIND == PAYLOAD && neuron.spikes == ROUND)
        return rintf(fminf(fmaxf(__fdiv_rn(v, threshold), 0.0f), neuron.most));
    bool yes = over(v, threshold, neuron.strict);
    if (KIND == PAYLOAD && neuron.spikes == SIGNED)
        return (yes ? 1.0f : 0.0f) - (over(-v, threshold, neuron.strict) ? 1.0f : 0.0f);
    if (!yes) return 0.0f;
    if (KIND == PAYLOAD && neuron.spikes == COUNT) return fminf(floorf(__fdiv_rn(v, threshold)), neuron.most);
    if (KIND == PAYLOAD && neuron.spikes == GRADED) return fmaxf(fminf(truncf(v), neuron.most), -neuron.most);
    return 1.0f;
}

template <int KIND>
__device__ inline float less(const Neuron &neuron, float v, float s, float threshold) {
    return __fsub_rn(v, KIND == PAYLOAD && neuron.spikes == GRADED ? s : __fmul_rn(s, threshold));
}

// One step with input x; returns what the neuron puts out.
template <int KIND, int TIMING>
__device__ inline float advance_neuron(const Neuron &neuron, int place, State &state, float x) {
    const bool hard = KIND != NONE && neuron.reset == HARD, soft = KIND != NONE && neuron.reset == SOFT;
    float threshold = neuron.threshold.at(place), v = state.v, s = 0.0f;
    float i = __fadd_rn(x, neuron.bias.at(place));
    if (neuron.synapse) {
        float kept = __fmul_rn(neuron.synapse_decay.at(place), state.i);
        i = state.i = silenced(__fadd_rn(kept, __fmul_rn(neuron.synapse_gain.at(place), i)));
    }
    if (TIMING == DELAYED) s = state.s;
    if (TIMING == FIRE_FIRST) s = fired<KIND>(neuron, v, threshold);
    if (TIMING != IMMEDIATE && hard && s != 0.0f) v = neuron.v_reset.at(place);
    v = __fadd_rn(__fmul_rn(neuron.decay.at(place), v), __fmul_rn(neuron.gain.at(place), i));
    v = __fadd_rn(v, neuron.drive.at(place));
    if (TIMING != IMMEDIATE && soft) v = less<KIND>(neuron, v, s, threshold);
    if (neuron.floored) v = fmaxf(v, neuron.v_min.at(place));
    if (TIMING != FIRE_FIRST) s = fired<KIND>(neuron, v, threshold);
    if (TIMING == IMMEDIATE && hard && s != 0.0f) v = neuron.v_reset.at(place);
    if (TIMING == IMMEDIATE && soft) v = less<KIND>(neuron, v, s, threshold);
    if (TIMING == DELAYED) state.s = s;
    state.v = silenced(v);
    return KIND == NONE ? state.v : s;
}
