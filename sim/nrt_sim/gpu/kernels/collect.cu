// What is watched into the chunk's output; and the end of a pass.

struct Collect {
    List list;
    Chunk *chunk;
    const float *membranes;  // [lanes, size]
    int4 *spikes;            // (step in the chunk, recording, place, payload)
    float *traces;           // [room, batch, size]
    int *written;            // entries in `spikes`, and of those that found no room
    int *finished;           // blocks that are done; 0 between launches
    int size, batch, lanes, room, span;
};

__device__ inline int whole(float x) {
    return x >= 2147483648.0f ? 2147483647 : x <= -2147483648.0f ? -2147483647 - 1 : (int)x;
}

__global__ void collect_spikes(Collect c) {
    Entries spikes = open(c.list, c.chunk);
    int from = c.written[0], stride = gridDim.x * blockDim.x;
    for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < spikes.count && from + k < c.room; k += stride) {
        int id = spikes.ids[k], lane = id / c.size;
        c.spikes[from + k] = make_int4(c.chunk->k + lane / c.batch, lane % c.batch, id % c.size, whole(spikes.value(k)));
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    __threadfence();
    if (atomicAdd(c.finished, 1) != (int)gridDim.x - 1) return;
    int all = from + spikes.count;  // every block has read c.written[0]
    c.written[0] = all < c.room ? all : c.room;
    c.written[1] += all < c.room ? 0 : all - c.room;
    *c.finished = 0;
}

__global__ void collect_membranes(Collect c) {
    i64 count = (i64)c.lanes * c.size, to = (i64)c.chunk->k * c.batch * c.size;
    for (i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x; k < count; k += (i64)gridDim.x * blockDim.x)
        c.traces[to + k] = c.membranes[k];
}

__global__ void tick(Collect c) {
    if (threadIdx.x) return;
    c.chunk->step += c.span;
    c.chunk->k += c.span;
}
