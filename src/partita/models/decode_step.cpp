// One decode step of Qwen3: the states of the next tokens of every row, through all layers, to logits of what follows.
//
// Built for the machine at hand by models/native_step.py, which knows what the pointers are. All sums are float32; a
// number depends on its own row alone, and neither on the number of rows nor on that of threads. Weights lie row by
// row, outputs first, as bfloat16, int8 with a scale for each output, or float32. Decoding waits for memory: every weight
// is read once, in order and asked for in advance, and threads meet five times a layer.

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int LANES = 16;
constexpr int OUTPUTS = 4;  // of a product that are summed side by side: inputs are then loaded once for all of them
constexpr int PIECE = 64;  // outputs that one thread computes together
constexpr int AHEAD = 16384;  // bytes: a core that does not ask in advance reads half as fast
constexpr int MOST_PARTS = 16;  // vectors of a head: 256 numbers

typedef __m512 Floats;  // of which GCC and Clang know sums and products

struct BFloat16 { uint16_t bits; };

enum Kind : int32_t { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2 };

inline Floats load(const float* at) { return _mm512_loadu_ps(at); }

inline Floats load(const BFloat16* at) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

inline Floats load(const int8_t* at) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
}

inline void store(float* at, Floats what) { _mm512_storeu_ps(at, what); }

inline void store(BFloat16* at, Floats what) {
    const __m512i bits = _mm512_castps_si512(what);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));  // ties to even
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

inline float total(Floats x) { return _mm512_reduce_add_ps(x); }

// Has memory bring what lies AHEAD of `count` numbers.
template <class Number> inline void ask_ahead(const Number* at, int64_t count) {
    const char* first = reinterpret_cast<const char*>(at) + AHEAD;
    for (size_t byte = 0; byte < count * sizeof(Number); byte += 64) _mm_prefetch(first + byte, _MM_HINT_T0);
}

// e to the x, for x up to 0, to 2e-7 of itself: 2^n times a polynomial of the remainder (Taylor, |r| < 0.35).
inline Floats exponential(Floats x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    const Floats n = _mm512_roundscale_ps(x * 1.44269504f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats sum = r * (1.0f / 5040) + 1.0f / 720;
    for (float next : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) sum = sum * r + next;
    return _mm512_scalef_ps(sum, n);
}

// x / (1 + e^-x), by powers that do not overflow.
inline Floats silu(Floats x) {
    const Floats raised = exponential(-_mm512_abs_ps(x));
    const __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return x * _mm512_mask_blend_ps(above, raised, _mm512_set1_ps(1.0f)) / (1.0f + raised);
}

template <int COUNT, int ROWS, class Weight>
inline void products(const Weight* weight, const float* x, int64_t inputs, float (*found)[ROWS]) {
    Floats sums[COUNT][ROWS] = {};
    for (int64_t k = 0; k < inputs; k += LANES) {
        // A step reads COUNT * LANES weights of rows that lie one after another, so that lines are asked for in order.
        ask_ahead(weight + k * COUNT, COUNT * LANES);
        Floats given[ROWS];
        for (int r = 0; r < ROWS; r++) {
            given[r] = load(x + r * inputs + k);
            asm("" : "+v"(given[r]));  // stay in a register: compilers would load it again for each output
        }
        for (int n = 0; n < COUNT; n++) {
            const Floats w = load(weight + n * inputs + k);
            for (int r = 0; r < ROWS; r++) sums[n][r] += w * given[r];
        }
    }
    for (int n = 0; n < COUNT; n++)
        for (int r = 0; r < ROWS; r++) found[n][r] = total(sums[n][r]);
}

struct Matrix {
    const void* weight;  // [N, inputs]
    const float* scale;  // [N], of int8
    int64_t inputs;
    int32_t kind;
};

template <int COUNT, int ROWS, class Write>
inline void some_rows(const Matrix& matrix, int64_t first, const float* x, int64_t row, const Write& write) {
    float found[COUNT][ROWS];
    const int64_t skipped = first * matrix.inputs;
    const float* given = x + row * matrix.inputs;
    switch (matrix.kind) {
        case FLOAT32:
            products<COUNT, ROWS>(static_cast<const float*>(matrix.weight) + skipped, given, matrix.inputs, found);
            break;
        case BFLOAT16:
            products<COUNT, ROWS>(static_cast<const BFloat16*>(matrix.weight) + skipped, given, matrix.inputs, found);
            break;
        default:
            products<COUNT, ROWS>(static_cast<const int8_t*>(matrix.weight) + skipped, given, matrix.inputs, found);
    }
    for (int n = 0; n < COUNT; n++) {
        const float scale = matrix.scale ? matrix.scale[first + n] : 1.0f;
        for (int r = 0; r < ROWS; r++) write(first + n, row + r, found[n][r] * scale);
    }
}

// Outputs first..last of every row of x [rows, inputs], told to write(output, row, value). Weights are read once.
template <class Write>
inline void multiply(const Matrix& matrix, int64_t first, int64_t last, const float* x, int64_t rows, const Write& write) {
    for (; first + OUTPUTS <= last; first += OUTPUTS) {
        int64_t row = 0;
        for (; row + 4 <= rows; row += 4) some_rows<OUTPUTS, 4>(matrix, first, x, row, write);
        for (; row + 2 <= rows; row += 2) some_rows<OUTPUTS, 2>(matrix, first, x, row, write);
        for (; row < rows; row++) some_rows<OUTPUTS, 1>(matrix, first, x, row, write);
    }
    for (; first < last; first++)
        for (int64_t row = 0; row < rows; row++) some_rows<1, 1>(matrix, first, x, row, write);
}

// RMSNorm (Zhang and Sennrich, 2019) of `width` numbers; `to` may be `from`.
inline void norm(const float* from, const float* weight, float eps, int64_t width, float* to) {
    Floats squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < width; i += LANES) squares += load(from + i) * load(from + i);
    const float scale = 1.0f / std::sqrt(total(squares) / width + eps);
    for (int64_t i = 0; i < width; i += LANES) store(to + i, load(from + i) * scale * load(weight + i));
}

// Rotary positions in the half-split layout, in place.
inline void rotate(float* x, const float* cosines, const float* sines, int64_t width) {
    for (int64_t i = 0; i < width / 2; i++) {
        const float low = x[i], high = x[i + width / 2];
        x[i] = low * cosines[i] - high * sines[i];
        x[i + width / 2] = high * cosines[i + width / 2] + low * sines[i + width / 2];
    }
}

struct Sizes {
    int64_t rows, tokens, hidden, inner, layers, heads, kv_heads, head_dim, capacity, vocabulary, threads;
    float eps;
    int32_t cache_kind;
};

struct Layer {
    const float *before_attention, *before_mlp, *query_norm, *key_norm;
    Matrix qkv, out, gate_up, down;
    void *keys, *values;  // [rows, kv_heads, capacity, head_dim]
};

// What `sharing` queries hear from the `length` places of one key head; scores are scratch, [sharing, length rounded up].
template <class Cached>
void attend(const Cached* keys, const Cached* values, int64_t length, const float* queries, int64_t sharing,
            int64_t head_dim, float* scores, float* heard) {
    const int64_t parts = head_dim / LANES, padded = (length + LANES - 1) / LANES * LANES;
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    Floats vectors[MOST_PARTS];
    for (int64_t l = 0; l < length; l++) {
        ask_ahead(keys + l * head_dim, head_dim);
        for (int64_t j = 0; j < parts; j++) vectors[j] = load(keys + l * head_dim + j * LANES);
        for (int64_t s = 0; s < sharing; s++) {
            Floats sum = _mm512_setzero_ps();
            for (int64_t j = 0; j < parts; j++) sum += vectors[j] * load(queries + s * head_dim + j * LANES);
            scores[s * padded + l] = total(sum) * scale;
        }
    }
    for (int64_t s = 0; s < sharing; s++) {
        float* row = scores + s * padded;
        float most = row[0];
        for (int64_t l = 1; l < length; l++) most = row[l] > most ? row[l] : most;
        for (int64_t l = length; l < padded; l++) row[l] = -INFINITY;
        Floats sum = _mm512_setzero_ps();
        for (int64_t l = 0; l < padded; l += LANES) {
            const Floats weight = exponential(load(row + l) - most);
            store(row + l, weight);
            sum += weight;
        }
        const float whole = total(sum);
        for (int64_t l = 0; l < padded; l += LANES) store(row + l, load(row + l) / whole);
    }
    std::memset(heard, 0, sharing * head_dim * sizeof *heard);
    for (int64_t l = 0; l < length; l++) {
        ask_ahead(values + l * head_dim, head_dim);
        for (int64_t j = 0; j < parts; j++) vectors[j] = load(values + l * head_dim + j * LANES);
        for (int64_t s = 0; s < sharing; s++) {
            float* to = heard + s * head_dim;
            for (int64_t j = 0; j < parts; j++)
                store(to + j * LANES, load(to + j * LANES) + scores[s * padded + l] * vectors[j]);
        }
    }
}

// One row's key head `group`: normed, turned and written to the cache, then heard by the queries that share it.
template <class Cached>
void attend_group(const Sizes& sizes, const Layer& layer, int64_t row, int64_t group, int64_t place, float* joined,
                  const float* cosines, const float* sines, float* scores, float* heard) {
    const int64_t width = sizes.head_dim, sharing = sizes.heads / sizes.kv_heads;
    float* queries = joined + group * sharing * width;
    float* key = joined + (sizes.heads + group) * width;
    const float* value = joined + (sizes.heads + sizes.kv_heads + group) * width;
    for (int64_t s = 0; s < sharing; s++) {
        norm(queries + s * width, layer.query_norm, sizes.eps, width, queries + s * width);
        rotate(queries + s * width, cosines, sines, width);
    }
    norm(key, layer.key_norm, sizes.eps, width, key);
    rotate(key, cosines, sines, width);
    const int64_t skipped = (row * sizes.kv_heads + group) * sizes.capacity * width;
    Cached* keys = static_cast<Cached*>(layer.keys) + skipped;
    Cached* values = static_cast<Cached*>(layer.values) + skipped;
    for (int64_t i = 0; i < width; i += LANES) {
        store(keys + place * width + i, load(key + i));
        store(values + place * width + i, load(value + i));
    }
    attend(keys, values, place + 1, queries, sharing, width, scores, heard + group * sharing * width);
}

}  // namespace

// States [rows * tokens, hidden] are read and used up; cosines and sines [rows * tokens, head_dim] are of the tokens'
// places [rows * tokens], which rise in a row. Logits [rows, vocabulary] follow token `last[row]` of each row.
extern "C" void partita_decode_step(const Sizes* given, const Layer* layers, const float* last_norm, const Matrix* head,
                                    const int64_t* last, const int64_t* places, const float* cosines,
                                    const float* sines, float* states, float* logits) {
    const Sizes sizes = *given;
    const int64_t rows = sizes.rows, tokens = sizes.tokens, all = rows * tokens, hidden = sizes.hidden, inner = sizes.inner, width = sizes.head_dim;
    const int64_t joined_width = (sizes.heads + 2 * sizes.kv_heads) * width, heard_width = sizes.heads * width;
    const int64_t sharing = sizes.heads / sizes.kv_heads;
    std::vector<float> joined(all * joined_width), heard(all * heard_width), active(all * inner);
#pragma omp parallel num_threads(sizes.threads)
    {
        std::vector<float> normed(all * hidden), scores(sharing * (sizes.capacity + LANES));
        const auto norm_all = [&](const float* weight) {  // by each thread for itself: it takes less than to wait
            for (int64_t r = 0; r < all; r++)
                norm(states + r * hidden, weight, sizes.eps, hidden, normed.data() + r * hidden);
        };
        const auto add = [&](int64_t n, int64_t r, float value) { states[r * hidden + n] += value; };
        for (int64_t at = 0; at < sizes.layers; at++) {
            const Layer& layer = layers[at];
            norm_all(layer.before_attention);
#pragma omp for schedule(static)
            for (int64_t n = 0; n < joined_width; n += PIECE)
                multiply(layer.qkv, n, n + PIECE < joined_width ? n + PIECE : joined_width, normed.data(), all,
                         [&](int64_t m, int64_t r, float value) { joined[r * joined_width + m] = value; });
#pragma omp for schedule(static)
            for (int64_t item = 0; item < rows * sizes.kv_heads; item++) {
                const int64_t row = item / sizes.kv_heads, group = item % sizes.kv_heads;
                const auto one = sizes.cache_kind == BFLOAT16 ? attend_group<BFloat16> : attend_group<float>;
                for (int64_t at = row * tokens; at < (row + 1) * tokens; at++)
                    one(sizes, layer, row, group, places[at], joined.data() + at * joined_width, cosines + at * width,
                        sines + at * width, scores.data(), heard.data() + at * heard_width);
            }
#pragma omp for schedule(static)
            for (int64_t n = 0; n < hidden; n += PIECE)
                multiply(layer.out, n, n + PIECE < hidden ? n + PIECE : hidden, heard.data(), all, add);
            norm_all(layer.before_mlp);
#pragma omp for schedule(static)
            for (int64_t first = 0; first < inner; first += PIECE) {
                const int64_t last = first + PIECE < inner ? first + PIECE : inner;
                multiply(layer.gate_up, first, last, normed.data(), all,
                         [&](int64_t m, int64_t r, float value) { active[r * inner + m] = value; });
                for (int64_t r = 0; r < all; r++)
                    for (int64_t n = first; n < last; n += LANES) store(&active[r * inner + n], silu(load(&active[r * inner + n])));
                multiply(layer.gate_up, inner + first, inner + last, normed.data(), all,
                         [&](int64_t m, int64_t r, float value) { active[r * inner + m - inner] *= value; });
            }
#pragma omp for schedule(static)
            for (int64_t n = 0; n < hidden; n += PIECE)
                multiply(layer.down, n, n + PIECE < hidden ? n + PIECE : hidden, active.data(), all, add);
        }
        for (int64_t r = 0; r < rows; r++)
            norm(states + (r * tokens + last[r]) * hidden, last_norm, sizes.eps, hidden, normed.data() + r * hidden);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < sizes.vocabulary; n += PIECE)
            multiply(*head, n, n + PIECE < sizes.vocabulary ? n + PIECE : sizes.vocabulary, normed.data(), rows,
                     [&](int64_t m, int64_t r, float value) { logits[r * sizes.vocabulary + m] = value; });
    }
}
