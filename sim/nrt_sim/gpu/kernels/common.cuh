// What all kernels share: lists of spikes, ordered compaction, search. Put in front of every kernel's text.
//
// Every kernel takes one structure by value (nrt_sim.gpu.kernels mirrors them) and no number that changes from step
// to step: those lie on the device, so that a step can be recorded once as a CUDA graph. Blocks have a multiple of 32
// threads and whole warps take part in every collective. Neurons lie in row, column, channel order (a "place"), lanes
// (the recordings, or the steps of a pass times the recordings) one after another: id = lane * size + place.

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;

const u32 WARP = 0xffffffffu;
const int ITEMS = 2;  // consecutive neurons of one thread in a compaction

// Header of a chunk on the device; what follows it are bounds[lanes][steps + 1] and the words.
struct Chunk {
    i64 step;   // of the run; it selects slots of rings
    int k;      // step in the chunk
    int steps;  // of the chunk
    int spikes; // whether the words are SPIKE records
    int room;   // bounds of a recording lie room + 1 apart
};

// What a layer put out in each of the last `slots` steps: ids in ascending order; without values they are all 1.
struct List {
    int *ids;
    float *values;
    int *counts;
    int capacity, slots, delay;
};

struct Entries {
    const int *ids;
    const float *values;
    int count;

    __device__ float value(int k) const { return values ? values[k] : 1.0f; }
};

// For every tile of an ordered compaction, the number of entries in it or up to its end; see `before`.
struct Scan {
    u64 *status;  // one word per tile: epoch << 34 | state << 32 | number
    u64 *tickets;
    int tiles;
};

__device__ inline int lane_of_warp() { return threadIdx.x & 31; }

// The first of ids[begin ... end) that is not less than `key`, found by a whole warp: 33 parts, a probe at the end of each
// but the last, which is therefore a shorter one.
__device__ inline int find(const int *ids, int begin, int end, int key) {
    while (end - begin > 0) {
        int width = (end - begin) / 33 + 1;
        int probe = begin + (lane_of_warp() + 1) * width - 1;
        u32 less = __ballot_sync(WARP, probe < end && ids[probe] < key);
        int below = __popc(less);
        begin += below * width;
        end = begin + width - 1 < end ? begin + width - 1 : end;
    }
    return begin;
}

// What a layer put out `delay` steps ago.
__device__ inline Entries open(const List &list, const Chunk *chunk) {
    int slot = (int)((chunk->step + list.slots - list.delay) % list.slots);
    i64 at = (i64)slot * list.capacity;
    return {list.ids + at, list.values ? list.values + at : nullptr, list.counts[slot]};
}

__device__ inline int warp_sum(int value) {
    for (int width = 16; width; width >>= 1) value += __shfl_xor_sync(WARP, value, width);
    return value;
}

__device__ inline i64 warp_sum(i64 value) {
    for (int width = 16; width; width >>= 1) value += (i64)__shfl_xor_sync(WARP, (u64)value, width);
    return value;
}

// How many entries the threads before this one have in the block, which has `total`. Block-wide, at most 1024 threads.
__device__ inline int rank_in_block(int mine, int *total) {
    __shared__ int sums[32];
    int lane = lane_of_warp(), warp = threadIdx.x >> 5, warps = blockDim.x >> 5, upto = mine;
    for (int reach = 1; reach < 32; reach <<= 1) {
        int left = __shfl_up_sync(WARP, upto, reach);
        if (lane >= reach) upto += left;
    }
    if (lane == 31) sums[warp] = upto;
    __syncthreads();
    int others = 0;
    *total = 0;
    for (int k = 0; k < warps; ++k) {
        if (k < warp) others += sums[k];
        *total += sums[k];
    }
    __syncthreads();
    return others + upto - mine;
}

// The tile of this block, in the order in which blocks begin, and the pass. Blocks that begin wait for none that have not.
__device__ inline int take_tile(const Scan &scan, u64 *epoch) {
    __shared__ u64 ticket;
    if (threadIdx.x == 0) ticket = atomicAdd(scan.tickets, (u64)1);
    __syncthreads();
    *epoch = (ticket / scan.tiles + 1) & 0x3fffffff;
    return (int)(ticket % scan.tiles);
}

// How many entries the tiles before this one have, which has `mine` (decoupled look-back: Merrill and Garland, 2016).
__device__ inline int before(const Scan &scan, int tile, u64 epoch, int mine) {
    __shared__ int answer;
    if (threadIdx.x < 32) {
        const u64 partial = epoch << 34 | (u64)1 << 32, whole = epoch << 34 | (u64)2 << 32;
        if (threadIdx.x == 0) atomicExch(&scan.status[tile], (tile ? partial : whole) | (u32)mine);
        int sum = 0;
        for (int end = tile; end > 0; end -= 32) {
            int at = end - 1 - lane_of_warp();
            u64 word = whole;
            if (at >= 0)
                while ((word = *(volatile u64 *)&scan.status[at]) >> 34 != epoch) __nanosleep(20);
            u32 ended = __ballot_sync(WARP, (word >> 32 & 3) == 2);
            int last = ended ? __ffs((int)ended) - 1 : 31;
            sum += warp_sum(lane_of_warp() <= last ? (int)(u32)word : 0);
            if (ended) break;
        }
        if (threadIdx.x == 0) {
            if (tile) atomicExch(&scan.status[tile], whole | (u32)(sum + mine));
            answer = sum;
        }
    }
    __syncthreads();
    return answer;
}

// Adds `ways` to a recording's count. Whole warps call it; lanes that add nothing say 0.
__device__ inline void count_ways(u64 *counts, int recording, i64 ways) {
    int first = __shfl_sync(WARP, recording, 0);
    if (__ballot_sync(WARP, ways && recording != first)) {
        if (ways) atomicAdd(&counts[recording], (u64)ways);
        return;
    }
    ways = warp_sum(ways);
    if (lane_of_warp() == 0 && ways) atomicAdd(&counts[first], (u64)ways);
}

// Adds the fan of every entry to the count of its recording. Blocks share the entries; whole warps call it.
__device__ inline void tally(const Entries &spikes, const int *fan, int each, int size, int batch, u64 *counts) {
    int stride = gridDim.x * blockDim.x;
    for (int from = blockIdx.x * blockDim.x; from < spikes.count; from += stride) {
        int k = from + (int)threadIdx.x, id = k < spikes.count ? spikes.ids[k] : 0;
        count_ways(counts, id / size % batch, k < spikes.count ? (fan ? fan[id % size] : each) : 0);
    }
}
