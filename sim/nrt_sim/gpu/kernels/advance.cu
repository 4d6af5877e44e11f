// One step of a layer: neurons charged, fired and reset, and what they put out as a list in order of id, in one launch.
//
// A block takes ITEMS * blockDim.x neurons of one recording. It counts its spikes, learns from the tiles before it where
// its entries begin (`before`), and writes them: no sorting, no second pass, the same list every time.

struct Advance {
    Neuron neuron;
    float *v, *i, *s, *current;  // i without a synapse and s without delay are null, current where nothing arrives
    float *plane;                // what was put out, dense, ring of list.slots; null where nobody needs it
    List list;                   // ids null: nobody needs it
    Scan scan;
    const Chunk *chunk;
    u64 *spikes;  // per recording: what was put out and not zero
    int size, batch, clear;
};

__device__ inline void load(const float *from, i64 at, int count, bool whole, float *to) {
    if (whole) {
        float2 two = *(const float2 *)(from + at);
        to[0] = two.x, to[1] = two.y;
        return;
    }
    for (int k = 0; k < ITEMS; ++k) to[k] = k < count ? from[at + k] : 0.0f;
}

__device__ inline void store(float *to, i64 at, int count, bool whole, const float *from) {
    if (whole) {
        *(float2 *)(to + at) = make_float2(from[0], from[1]);
        return;
    }
    for (int k = 0; k < count; ++k) to[at + k] = from[k];
}

template <int KIND, int TIMING>
__global__ void advance(Advance a) {
    u64 epoch;
    int tile = take_tile(a.scan, &epoch), tiles = a.scan.tiles / a.batch;
    int recording = tile / tiles, place = (tile % tiles * blockDim.x + threadIdx.x) * ITEMS;
    int count = a.size - place < ITEMS ? a.size - place : ITEMS;
    i64 at = (i64)recording * a.size + place;
    bool whole = count == ITEMS && a.size % ITEMS == 0;
    float v[ITEMS], i[ITEMS] = {}, s[ITEMS] = {}, x[ITEMS] = {}, out[ITEMS] = {};
    int found = 0;
    if (count > 0) {
        load(a.v, at, count, whole, v);
        if (a.i) load(a.i, at, count, whole, i);
        if (TIMING == DELAYED) load(a.s, at, count, whole, s);
        if (a.current) load(a.current, at, count, whole, x);
        for (int k = 0; k < count; ++k) {
            State state = {v[k], i[k], s[k]};
            out[k] = advance_neuron<KIND, TIMING>(a.neuron, place + k, state, x[k]);
            v[k] = state.v, i[k] = state.i, s[k] = state.s, x[k] = 0.0f;
            found += out[k] != 0.0f;
        }
        store(a.v, at, count, whole, v);
        if (a.i) store(a.i, at, count, whole, i);
        if (TIMING == DELAYED) store(a.s, at, count, whole, s);
        if (a.current && a.clear) store(a.current, at, count, whole, x);
    }
    int slot = (int)(a.chunk->step % a.list.slots), total;
    if (a.plane && count > 0) store(a.plane + (i64)slot * a.list.capacity, at, count, whole, out);
    int rank = rank_in_block(found, &total);
    if (threadIdx.x == 0 && total) atomicAdd(&a.spikes[recording], (u64)total);
    if (!a.list.ids) return;
    int begin = before(a.scan, tile, epoch, total), to = begin + rank;
    for (int k = 0; k < ITEMS; ++k) {
        if (out[k] == 0.0f) continue;
        a.list.ids[(i64)slot * a.list.capacity + to] = (int)(at + k);
        if (a.list.values) a.list.values[(i64)slot * a.list.capacity + to] = out[k];
        ++to;
    }
    if (tile == a.scan.tiles - 1 && threadIdx.x == 0) a.list.counts[slot] = begin + total;
}
