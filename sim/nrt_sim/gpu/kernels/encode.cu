// Events of a step, or of every step of a pass, into the plane of the input: `Encoding.index` of nrt.network.encoding.
//
// Several events may meet in a place: counts are added up by atomics (whole numbers, exact in any order), a binary input
// is written by each of them. A bit per place says what was touched, for the compaction that makes the list.

enum Polarity { SPLIT, MERGE, ON, OFF };

struct Encode {
    const Chunk *chunk;
    const int *bounds;  // [batch][room + 1]
    const u64 *words;   // two per event
    float *plane;       // ring of `slots` planes of `capacity`
    u32 *touched;       // a bit per place and lane; null where the list is made from all of the plane
    u64 *encoded;       // [3][batch]: events, outside, cropped
    int slots, capacity, size, batch;
    int left, top, crop_width, crop_height, pool, swap;
    int channels, height, width;
};

// The place of an event; -1 what crop or polarity leaves out, -2 outside the input.
template <int POLARITY>
__device__ inline int place_of(const Encode &e, u64 word) {
    int x = (int)(word & 0xffff) - e.left, y = (int)(word >> 16 & 0xffff) - e.top, p = (int)(word >> 32 & 0xff);
    if (x < 0 || x >= e.crop_width || y < 0 || y >= e.crop_height) return -1;
    if (POLARITY == ON && p != 1) return -1;
    if (POLARITY == OFF && p != 0) return -1;
    int channel = POLARITY == SPLIT ? p ^ e.swap : 0;
    x /= e.pool, y /= e.pool;
    if (x >= e.width || y >= e.height || channel >= e.channels) return -2;
    return (y * e.width + x) * e.channels + channel;
}

// The place of neuron n, which counts in channel, row, column order.
__device__ inline int place_of_neuron(const Encode &e, u32 n) {
    if (n >= (u32)e.size) return -2;
    int pixels = e.height * e.width;
    return (int)n % pixels * e.channels + (int)n / pixels;
}

__device__ inline void count_warp(u64 *count, bool mine) {
    u32 all = __ballot_sync(WARP, mine);
    if (lane_of_warp() == 0 && all) atomicAdd(count, (u64)__popc(all));
}

// Blocks of gridDim.y: recordings, for every step of the pass.
template <int POLARITY, int BINARY>
__global__ void encode(Encode e) {
    int recording = blockIdx.y % e.batch, k = e.chunk->k + blockIdx.y / e.batch;
    if (k >= e.chunk->steps) return;
    const int *bounds = e.bounds + (i64)recording * (e.chunk->room + 1) + k;
    i64 slot = (i64)(e.chunk->step % e.slots) * e.capacity;
    int begin = bounds[0], count = bounds[1] - begin, stride = gridDim.x * blockDim.x;
    for (int first = blockIdx.x * blockDim.x; first < count; first += stride) {
        bool some = first + (int)threadIdx.x < count;
        u64 word = some ? e.words[2 * (i64)(begin + first + threadIdx.x) + 1] : 0;
        int place = e.chunk->spikes ? place_of_neuron(e, (u32)word) : place_of<POLARITY>(e, word);
        if (some && place >= 0) {
            i64 id = (i64)blockIdx.y * e.size + place;
            if (e.chunk->spikes) atomicAdd(&e.plane[slot + id], (float)(int)(word >> 32));
            else if (BINARY) atomicExch(&e.plane[slot + id], 1.0f);
            else atomicAdd(&e.plane[slot + id], 1.0f);
            if (e.touched) atomicOr(&e.touched[id >> 5], 1u << (id & 31));
        }
        count_warp(&e.encoded[recording], some && place >= 0);
        count_warp(&e.encoded[e.batch + recording], some && place == -2);
        count_warp(&e.encoded[2 * e.batch + recording], some && place == -1);
    }
}
