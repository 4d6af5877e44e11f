// Many steps of a layer in one launch: state stays in registers, only currents are read and outputs written.

struct Steps {
    Neuron neuron;
    float *v, *i, *s;
    const float *current;  // [steps, batch, size], or null where nothing arrives
    float *plane;          // [steps, batch, size]: what was put out
    float *membranes;      // the same of the membranes, or null
    u64 *spikes;           // per recording
    int size, batch, steps;
};

// Blocks of gridDim.y: recordings.
template <int KIND, int TIMING>
__global__ void __launch_bounds__(256, 4) steps(Steps a) {
    int stride = gridDim.x * blockDim.x;
    i64 found = 0, step = (i64)a.batch * a.size;
    for (int place = blockIdx.x * blockDim.x + threadIdx.x; place < a.size; place += stride) {
        i64 at = (i64)blockIdx.y * a.size + place;
        State state = {a.v[at], a.i ? a.i[at] : 0.0f, TIMING == DELAYED ? a.s[at] : 0.0f};
#pragma unroll 2  // more would cost registers
        for (int t = 0; t < a.steps; ++t) {
            float x = a.current ? a.current[t * step + at] : 0.0f;
            float out = advance_neuron<KIND, TIMING>(a.neuron, place, state, x);
            a.plane[t * step + at] = out;
            if (a.membranes) a.membranes[t * step + at] = state.v;
            found += out != 0.0f;
        }
        a.v[at] = state.v;
        if (a.i) a.i[at] = state.i;
        if (TIMING == DELAYED) a.s[at] = state.s;
    }
    found = warp_sum(found);
    if (lane_of_warp() == 0 && found) atomicAdd(&a.spikes[blockIdx.y], (u64)found);
}
