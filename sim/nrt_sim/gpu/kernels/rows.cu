// Spikes through a matrix: a spike at place p adds weight[row[p]] to all of the target.

struct Rows {
    List list;
    const Chunk *chunk;
    const int *row;       // of each place, -1 where a spike reaches nothing
    const float *weight;  // [rows, outputs]
    float *current;       // [lanes, outputs]
    const int *fan;       // of each place, or null: `ways` for all
    u64 *synops;          // per recording
    float *partial;       // [units, splits, 32]: sums of the blocks that share a unit; see rows_sorted
    int *finished;        // [units]: how many of them are done; 0 between launches
    int ways, size, outputs, lanes, batch, first;
    int splits;
};

// A unit is 32 outputs of one lane. Its spikes are shared by `splits` blocks and their warps, by place in the list; sums
// are added in the order of the warps, then (by the block that ends last) of the blocks: the same list, the same sums.
__global__ void rows_sorted(Rows r) {
    __shared__ float sums[32][33];
    Entries spikes = open(r.list, r.chunk);
    tally(spikes, r.fan, r.ways, r.size, r.batch, r.synops);
    int unit = blockIdx.x / r.splits, split = blockIdx.x % r.splits, parts = (r.outputs + 31) / 32;
    int lane = unit / parts, o = unit % parts * 32 + lane_of_warp();
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5, begin = 0, end = spikes.count;
    if (r.lanes > 1) {
        begin = find(spikes.ids, begin, end, lane * r.size);
        end = find(spikes.ids, begin, end, (lane + 1) * r.size);
    }
    int share = (end - begin + r.splits - 1) / r.splits;
    begin += split * share;
    end = begin + share < end ? begin + share : end;
    float sum = 0.0f;
    for (int from = begin + warp * 32; from < end; from += warps * 32) {
        int k = from + lane_of_warp();
        int mine = k < end ? r.row[spikes.ids[k] - lane * r.size] : -1;
        float payload = k < end ? spikes.value(k) : 0.0f;
        for (int j = 0; j < 32; ++j) {
            int row = __shfl_sync(WARP, mine, j);
            float value = __shfl_sync(WARP, payload, j);
            if (row >= 0 && o < r.outputs) sum = fmaf(value, r.weight[(i64)row * r.outputs + o], sum);
        }
    }
    sums[warp][lane_of_warp()] = sum;
    __syncthreads();
    if (warp) return;
    for (int k = 1; k < warps; ++k) sum += sums[k][lane_of_warp()];
    if (r.splits > 1) {
        volatile float *partial = r.partial + (i64)unit * r.splits * 32 + lane_of_warp();
        partial[split * 32] = sum;
        __threadfence();
        __syncwarp();
        int before = lane_of_warp() ? 0 : atomicAdd(&r.finished[unit], 1);
        if (__shfl_sync(WARP, before, 0) != r.splits - 1) return;
        __threadfence();
        sum = 0.0f;
        for (int k = 0; k < r.splits; ++k) sum += partial[k * 32];
        if (lane_of_warp() == 0) r.finished[unit] = 0;
    }
    if (o >= r.outputs) return;
    float *to = &r.current[(i64)lane * r.outputs + o];
    *to = r.first ? sum : *to + sum;
}

// Warps take spikes, and add their rows with atomics: in no order, but with no limit to how many work on one target.
__global__ void rows_atomic(Rows r) {
    Entries spikes = open(r.list, r.chunk);
    tally(spikes, r.fan, r.ways, r.size, r.batch, r.synops);
    int warps = gridDim.x * blockDim.x >> 5;
    for (int k = blockIdx.x * blockDim.x + threadIdx.x >> 5; k < spikes.count; k += warps) {
        int id = spikes.ids[k], lane = id / r.size, row = r.row[id % r.size];
        if (row < 0) continue;
        float value = spikes.value(k);
        for (int o = lane_of_warp(); o < r.outputs; o += 32)
            atomicAdd(&r.current[(i64)lane * r.outputs + o], value * r.weight[(i64)row * r.outputs + o]);
    }
}
