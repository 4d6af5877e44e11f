// The parallel spiking neurons (Fang et al., NeurIPS 2023): no reset, so all steps at once. s = 1 where h >= 0.
//
// parallel: h = W x + b over a fixed number of steps, W [steps, steps] (masked: the host zeroes what W may not see).
// sliding: h[t] = sum of w[k] x[t - taps + 1 + k] + b, causal, so it also streams: `past` holds the taps - 1 inputs before.

struct Parallel {
    const float *x;       // [steps, neurons]
    const float *weight;  // [steps, steps] or [taps]
    const float *bias;    // [steps] or [1]
    float *past;          // sliding: [taps - 1, neurons], latest last
    float *out;           // [steps, neurons]
    int neurons, steps;
};

template <int STEPS>
__global__ void parallel(Parallel p) {
    __shared__ float weight[STEPS * STEPS];
    for (int k = threadIdx.x; k < STEPS * STEPS; k += blockDim.x) weight[k] = p.weight[k];
    __syncthreads();
    int stride = gridDim.x * blockDim.x;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < p.neurons; n += stride) {
        float x[STEPS];
#pragma unroll
        for (int k = 0; k < STEPS; ++k) x[k] = p.x[(i64)k * p.neurons + n];
#pragma unroll 1
        for (int t = 0; t < STEPS; ++t) {
            float h = p.bias[t];
#pragma unroll
            for (int k = 0; k < STEPS; ++k) h = fmaf(weight[t * STEPS + k], x[k], h);
            p.out[(i64)t * p.neurons + n] = h >= 0.0f ? 1.0f : 0.0f;
        }
    }
}

template <int TAPS>
__global__ void sliding(Parallel p) {
    int stride = gridDim.x * blockDim.x;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < p.neurons; n += stride) {
        float x[TAPS] = {};
#pragma unroll
        for (int k = 0; k < TAPS - 1; ++k) x[k + 1] = p.past[(i64)k * p.neurons + n];
#pragma unroll 1
        for (int t = 0; t < p.steps; ++t) {
            float h = p.bias[0];
#pragma unroll
            for (int k = 0; k < TAPS - 1; ++k) x[k] = x[k + 1];
            x[TAPS - 1] = p.x[(i64)t * p.neurons + n];
#pragma unroll
            for (int k = 0; k < TAPS; ++k) h = fmaf(p.weight[k], x[k], h);
            p.out[(i64)t * p.neurons + n] = h >= 0.0f ? 1.0f : 0.0f;
        }
#pragma unroll
        for (int k = 0; k < TAPS - 1; ++k) p.past[(i64)k * p.neurons + n] = x[k + 1];
    }
}
