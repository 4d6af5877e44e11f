// The dense way counts its synaptic operations, and finds what was put out `delay` steps ago at a fixed address.

struct Count {
    const float *plane;  // ring of `slots` planes of `capacity`
    float *copy;         // of the plane of `delay` steps ago; null where there is no delay
    const Chunk *chunk;
    const int *fan;      // of each place, or null: `ways` for all
    u64 *synops;         // per recording
    int slots, capacity, delay, ways, size, batch;
    int ids;             // of all lanes
};

__global__ void count(Count c) {
    const float *plane = c.plane + (i64)((c.chunk->step + c.slots - c.delay) % c.slots) * c.capacity;
    int stride = gridDim.x * blockDim.x;
    for (int from = blockIdx.x * blockDim.x; from < c.ids; from += stride) {
        int id = from + (int)threadIdx.x;
        float x = id < c.ids ? plane[id] : 0.0f;
        if (c.copy && id < c.ids) c.copy[id] = x;
        count_ways(c.synops, id / c.size % c.batch, x != 0.0f ? (c.fan ? c.fan[id % c.size] : c.ways) : 0);
    }
}
