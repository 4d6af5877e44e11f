// Spikes through a kernel: each adds a block of weights around a pixel. Pools before it and strides are in the tables.

struct Patch {
    List list;
    const Chunk *chunk;
    const int *phase, *top, *left;   // of each source pixel; phase -1: reaches nothing
    const int *shift;                // of each source channel: the target channel of its group's first
    const float *weight;             // [phases, channels, rows, columns, group]
    float *current;                  // [lanes, height, width, outputs]
    const int *reach_begin, *reach_end;  // of each target row: the source pixels that may reach it
    const int *fan;
    u64 *synops;
    int ways, size, channels, rows, columns, group;
    int height, width, outputs, lanes, batch, first;
};

const int CELLS = 4096;  // of one row of the target that a block keeps in shared memory

// Blocks own cells: up to CELLS of one row of the target each. Spikes that may reach the row follow one another in the
// list; for each, the threads add the part of its weights that falls on the row. A cell always belongs to the same
// thread, so nothing is added twice at a time, no atomics are needed, and the same list gives the same sums.
__global__ void patch_sorted(Patch p) {
    __shared__ float cells[CELLS];
    Entries spikes = open(p.list, p.chunk);
    tally(spikes, p.fan, p.ways, p.size, p.batch, p.synops);
    int whole = p.width * p.outputs, segments = (whole + CELLS - 1) / CELLS, owner = (int)blockDim.x - 1;
    int lane = blockIdx.x / (p.height * segments), y = blockIdx.x / segments % p.height;
    int origin = blockIdx.x % segments * CELLS, count = whole - origin < CELLS ? whole - origin : CELLS;
    for (int k = threadIdx.x; k < count; k += blockDim.x) cells[k] = 0.0f;
    int begin = find(spikes.ids, 0, spikes.count, lane * p.size + p.reach_begin[y] * p.channels);
    int end = find(spikes.ids, begin, spikes.count, lane * p.size + p.reach_end[y] * p.channels);
    bool one = p.group == p.outputs;  // the columns of a patch follow one another
    int runs = one ? 1 : p.columns, length = one ? p.columns * p.group : p.group;
    for (int from = begin; from < end; from += 32) {
        int k = from + lane_of_warp(), start = 0, offset = -1;
        float payload = 0.0f;
        if (k < end) {
            int place = spikes.ids[k] - lane * p.size, pixel = place / p.channels, channel = place % p.channels;
            int phase = p.phase[pixel], j = y - p.top[pixel];
            if (phase >= 0 && j >= 0 && j < p.rows) {
                offset = ((phase * p.channels + channel) * p.rows + j) * p.columns * p.group;
                start = p.left[pixel] * p.outputs + p.shift[channel] - origin;
                payload = spikes.value(k);
            }
        }
        for (u32 left = __ballot_sync(WARP, offset >= 0); left; left &= left - 1) {
            int which = __ffs((int)left) - 1;
            int at = __shfl_sync(WARP, start, which), weights = __shfl_sync(WARP, offset, which);
            float value = __shfl_sync(WARP, payload, which);
            for (int run = 0; run < runs; ++run, at += p.outputs, weights += p.group)
                for (int c = ((int)threadIdx.x - at) & owner; c < length; c += blockDim.x)
                    if (at + c >= 0 && at + c < count)
                        cells[at + c] = fmaf(value, p.weight[weights + c], cells[at + c]);
        }
    }
    float *to = p.current + ((i64)lane * p.height + y) * whole + origin;
    for (int k = threadIdx.x; k < count; k += blockDim.x) to[k] = p.first ? cells[k] : to[k] + cells[k];
}

// Warps take spikes, and add their patches with atomics, in no order.
__global__ void patch_atomic(Patch p) {
    Entries spikes = open(p.list, p.chunk);
    tally(spikes, p.fan, p.ways, p.size, p.batch, p.synops);
    int warps = gridDim.x * blockDim.x >> 5, length = p.columns * p.group;
    for (int k = blockIdx.x * blockDim.x + threadIdx.x >> 5; k < spikes.count; k += warps) {
        int id = spikes.ids[k], lane = id / p.size, place = id % p.size;
        int pixel = place / p.channels, channel = place % p.channels, phase = p.phase[pixel];
        if (phase < 0) continue;
        const float *weight = p.weight + (i64)(phase * p.channels + channel) * p.rows * length;
        float value = spikes.value(k);
        for (int c = lane_of_warp(); c < p.rows * length; c += 32) {
            int y = p.top[pixel] + c / length, x = p.left[pixel] + c % length / p.group;
            if (y < 0 || y >= p.height || x < 0 || x >= p.width || weight[c] == 0.0f) continue;
            i64 at = (((i64)lane * p.height + y) * p.width + x) * p.outputs + p.shift[channel] + c % p.group;
            atomicAdd(&p.current[at], value * weight[c]);
        }
    }
}
