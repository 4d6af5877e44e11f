// Lets g++ compile the kernels and run them on one thread of the CPU, to be compared with the reference. Not for speed.
//
// Threads of a block are fibers. A warp runs until all its lanes wait at a barrier, then the next warp: a barrier that is
// missing thus lets one warp run far ahead of the others, and in some order of warps or lanes it reads what was not yet
// written. Blocks, warps and lanes run forward (order 0), backward (1) or shuffled (any other order, which is the seed).
// What CUDA leaves undefined is refused: a collective or a barrier that some threads do not reach, a block that waits for
// one that has not begun. Blocks run one after another, so races between blocks and the memory model are not seen here.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#define __global__ static
#define __device__
#define __shared__ static
#define __launch_bounds__(threads, blocks)

struct dim3 { unsigned x, y, z; };
struct float2 { float x, y; };
struct int4 { int x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

enum Wait { READY, COLLECTIVE, BARRIER, DONE };

struct Fiber {
    ucontext_t begin;
    jmp_buf where;
    char *stack;
    Wait wait;
    int turn;  // which half of `exchange` the next collective uses
};

const int MOST = 1024, STACK = 1 << 16;
static Fiber fibers[MOST];
static unsigned long long exchange[2][MOST];
static jmp_buf scheduler;
static int current;
static void (*body)(const void *);
static const void *argument;
static char failure[200];
static std::mutex alone;

static void fail(const char *why) {
    if (!failure[0]) snprintf(failure, sizeof failure, "block (%u, %u): %s", blockIdx.x, blockIdx.y, why);
}

static void fiber_main() {
    for (;;) {
        body(argument);
        fibers[current].wait = DONE;
        if (!_setjmp(fibers[current].where)) _longjmp(scheduler, 1);
    }
}

static void pause(Wait wait) {
    Fiber &fiber = fibers[current];
    fiber.wait = wait;
    if (!_setjmp(fiber.where)) _longjmp(scheduler, 1);
}

static void resume(int thread) {
    Fiber &fiber = fibers[thread];
    current = thread;
    threadIdx = {(unsigned)thread, 0, 0};
    if (_setjmp(scheduler)) return;
    if (fiber.stack) _longjmp(fiber.where, 1);
    fiber.stack = (char *)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    getcontext(&fiber.begin);
    fiber.begin.uc_stack.ss_sp = fiber.stack;
    fiber.begin.uc_stack.ss_size = STACK;
    makecontext(&fiber.begin, fiber_main, 0);
    setcontext(&fiber.begin);
}

// Where the k-th of n comes in an order; shuffles are affine, with a factor that is coprime to every n of interest.
static int turn_of(int k, int n, unsigned order, unsigned salt) {
    if (order == 0) return k;
    if (order == 1) return n - 1 - k;
    return (int)((k * 1000003ull + (order * 2654435761ull ^ salt * 40503ull)) % (unsigned)n);
}

static void run_warp(int warp, int threads, unsigned order, unsigned phase) {
    int first = warp * 32, lanes = threads - first < 32 ? threads - first : 32;
    for (;; ++phase) {
        int waiting = 0, away = 0;
        for (int k = 0; k < lanes; ++k) {
            Fiber &fiber = fibers[first + turn_of(k, lanes, order, phase)];
            if (fiber.wait == READY) resume((int)(&fiber - fibers));
            if (failure[0]) return;
        }
        for (int k = 0; k < lanes; ++k) {
            waiting += fibers[first + k].wait == COLLECTIVE;
            away += fibers[first + k].wait != COLLECTIVE;
        }
        if (!waiting) return;
        if (away || lanes < 32) return fail("a warp's collective was not reached by all its lanes");
        for (int k = 0; k < lanes; ++k) fibers[first + k].wait = READY;
    }
}

static void run_block(int threads, unsigned order) {
    int warps = (threads + 31) / 32;
    for (int k = 0; k < threads; ++k) fibers[k].wait = READY, fibers[k].turn = 0;
    for (unsigned phase = 0;; ++phase) {
        int ended = 0;
        for (int k = 0; k < warps; ++k) run_warp(turn_of(k, warps, order, phase), threads, order, phase);
        if (failure[0]) return;
        for (int k = 0; k < threads; ++k) ended += fibers[k].wait == DONE;
        if (ended == threads) return;
        if (ended) return fail("a barrier was not reached by all threads");
        for (int k = 0; k < threads; ++k) fibers[k].wait = READY;
    }
}

// Runs a kernel; returns null, or what is wrong with it.
static const char *launch(void (*kernel)(const void *), const void *arguments, int x, int y, int threads, unsigned order) {
    std::lock_guard<std::mutex> guard(alone);
    failure[0] = 0;
    body = kernel, argument = arguments;
    gridDim = {(unsigned)x, (unsigned)y, 1}, blockDim = {(unsigned)threads, 1, 1};
    for (int k = 0; k < x * y && !failure[0]; ++k) {
        unsigned block = (unsigned)turn_of(k, x * y, order, 77);
        blockIdx = {block % x, block / x, 0};
        run_block(threads, order);
    }
    if (!failure[0]) return nullptr;
    for (Fiber &fiber : fibers)  // some stand in the middle of the kernel: begin anew next time
        if (fiber.stack) munmap(fiber.stack, STACK), fiber.stack = nullptr;
    return failure;
}

template <class T>
static T swap(T value, int from) {
    Fiber &me = fibers[current];
    int half = me.turn, base = current & ~31;
    unsigned long long word = 0;
    memcpy(&word, &value, sizeof value);
    exchange[half][current] = word;
    me.turn ^= 1;
    pause(COLLECTIVE);
    memcpy(&value, &exchange[half][base + from], sizeof value);
    return value;
}

}  // namespace shim

static inline void __syncthreads() { shim::pause(shim::BARRIER); }
static inline void __syncwarp() { shim::swap(0, 0); }
static inline void __threadfence() {}
static inline void __nanosleep(unsigned) {
    shim::fail("it waits for a block that has not begun");
    shim::pause(shim::BARRIER);
}
static inline unsigned __ballot_sync(unsigned, bool yes) {
    int half = shim::fibers[shim::current].turn, base = shim::current & ~31;
    unsigned result = 0;
    shim::swap<unsigned>(yes, 0);
    for (int k = 0; k < 32; ++k) result |= (unsigned)(shim::exchange[half][base + k] & 1) << k;
    return result;
}
template <class T> static inline T __shfl_sync(unsigned, T value, int from) { return shim::swap(value, from & 31); }
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int with) {
    return shim::swap(value, (shim::current & 31) ^ with);
}
template <class T> static inline T __shfl_up_sync(unsigned, T value, int by) {
    int lane = shim::current & 31;
    return shim::swap(value, lane < by ? lane : lane - by);
}
template <class T> static inline T atomicAdd(T *to, T value) { T old = *to; *to = old + value; return old; }
template <class T> static inline T atomicExch(T *to, T value) { T old = *to; *to = value; return old; }
template <class T> static inline T atomicOr(T *to, T value) { T old = *to; *to = old | value; return old; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
