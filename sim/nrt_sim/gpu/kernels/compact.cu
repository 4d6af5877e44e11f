// A plane into a list, in order of id; and the plane cleared again, by what the list of the slot says.

struct Compact {
    float *plane;  // ring of list.slots planes of list.capacity
    u32 *touched;  // TOUCHED: a bit per id, cleared here; only these are looked at
    List list;
    Scan scan;
    const Chunk *chunk;
    u64 *spikes;   // per recording: how many were found; or null
    int size, batch;
    int ids;       // how many there are, all lanes together
    int clear;     // whether the plane is no longer needed
};

// A thread takes 32 ids (one word of bits) where they are TOUCHED, otherwise ITEMS ids.
template <int TOUCHED>
__global__ void compact(Compact c) {
    const int share = TOUCHED ? 32 : ITEMS;
    u64 epoch;
    int tile = take_tile(c.scan, &epoch), total;
    i64 first = ((i64)tile * blockDim.x + threadIdx.x) * share;
    i64 slot = (i64)(c.chunk->step % c.list.slots) * c.list.capacity;
    u32 some = 0;
    if (first < c.ids) {
        u32 look = TOUCHED ? c.touched[first >> 5] : (1u << ITEMS) - 1;
        if (TOUCHED && look) c.touched[first >> 5] = 0;
        for (; look; look &= look - 1) {
            int k = __ffs((int)look) - 1;
            if (first + k < c.ids && c.plane[slot + first + k] != 0.0f) some |= 1u << k;
        }
    }
    int rank = rank_in_block(__popc(some), &total);
    int begin = before(c.scan, tile, epoch, total);
    for (i64 to = slot + begin + rank; some; some &= some - 1, ++to) {
        int id = (int)first + __ffs((int)some) - 1;
        c.list.ids[to] = id;
        if (c.list.values) c.list.values[to] = c.plane[slot + id];
        if (c.clear) c.plane[slot + id] = 0.0f;
        if (c.spikes) atomicAdd(&c.spikes[id / c.size % c.batch], (u64)1);
    }
    if (tile == c.scan.tiles - 1 && threadIdx.x == 0) c.list.counts[c.chunk->step % c.list.slots] = begin + total;
}

// What the list of the slot that comes next still says of the plane becomes 0 again.
__global__ void forget(Compact c) {
    i64 at = c.chunk->step % c.list.slots, slot = at * c.list.capacity;
    for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < c.list.counts[at]; k += gridDim.x * blockDim.x)
        c.plane[slot + c.list.ids[slot + k]] = 0.0f;
}
