// Spikes from neuron to neuron (identity, scale, pool): a spike at place p adds weight[p] to target[p].

struct Pairs {
    List list;
    const Chunk *chunk;
    const int *target;    // of each place, -1 where a spike reaches nothing
    const float *weight;  // of each place
    float *current;       // [lanes, outputs]
    const int *reach_begin, *reach_end;  // of each 32 targets: the places that may reach them
    const int *fan;
    u64 *synops;
    int ways, size, outputs, lanes, batch, first;
};

// Threads own targets: a warp looks through the spikes that may reach its 32, in the order of the list.
__global__ void pairs_sorted(Pairs p) {
    Entries spikes = open(p.list, p.chunk);
    tally(spikes, p.fan, p.ways, p.size, p.batch, p.synops);
    int parts = (p.outputs + 31) / 32, warps = gridDim.x * blockDim.x >> 5;
    for (int part = blockIdx.x * blockDim.x + threadIdx.x >> 5; part < p.lanes * parts; part += warps) {
        int lane = part / parts, tile = part % parts, mine = tile * 32 + lane_of_warp();
        int begin = find(spikes.ids, 0, spikes.count, lane * p.size + p.reach_begin[tile]);
        int end = find(spikes.ids, begin, spikes.count, lane * p.size + p.reach_end[tile]);
        float sum = 0.0f;
        for (int from = begin; from < end; from += 32) {
            int k = from + lane_of_warp(), place = k < end ? spikes.ids[k] - lane * p.size : 0;
            int target = k < end ? p.target[place] : -1;
            float payload = k < end ? spikes.value(k) : 0.0f, weight = p.weight[place];
            for (int j = 0; j < 32; ++j) {
                float value = __shfl_sync(WARP, payload, j), share = __shfl_sync(WARP, weight, j);
                if (__shfl_sync(WARP, target, j) == mine) sum = fmaf(value, share, sum);
            }
        }
        if (mine >= p.outputs) continue;
        float *to = &p.current[(i64)lane * p.outputs + mine];
        *to = p.first ? sum : *to + sum;
    }
}

// Threads take spikes. Where no two places have the same target, the sums are the same every time all the same.
__global__ void pairs_atomic(Pairs p) {
    Entries spikes = open(p.list, p.chunk);
    tally(spikes, p.fan, p.ways, p.size, p.batch, p.synops);
    int stride = gridDim.x * blockDim.x;
    for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < spikes.count; k += stride) {
        int id = spikes.ids[k], place = id % p.size, target = p.target[place];
        if (target >= 0)
            atomicAdd(&p.current[(i64)(id / p.size) * p.outputs + target], spikes.value(k) * p.weight[place]);
    }
}
