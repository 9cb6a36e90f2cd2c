// One recurrent layer and a linear head by the primitives of oneDNN, for onednn_peer.py, which
// compiles this file. Of oneDNN 2 or 3. Memory of parameters, data and gradients is the caller's,
// in float; primitives, and memory in the formats that they choose, are made once.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

using dnnl::memory;
using tag = memory::format_tag;

extern "C" {

/// `own_formats` says that parameters are kept in the format that the forward primitive chooses, and
/// gradients in that of the backward one, until they are read.
struct Sizes {
    int cell, task, own_formats, D, H, B, T;
};

/// x is (T, B, D), weights and their gradients (gates * H, inputs), the logits z are (B,).
struct Arrays {
    float *x, *y, *w_ih, *w_hh, *bias, *w_y, *b_y;
    float *z, *g_ih, *g_hh, *g_bias, *g_y, *g_by;
};
}

namespace {

enum Cell { RNN, LSTM, GRU };
enum Task { FORWARD, TRAIN, STEP };

using Named = std::vector<std::pair<int, memory>>; // a primitive's arguments

/// A primitive with its arguments, ready to be run.
class Work {
public:
    Work(const dnnl::primitive &primitive, const Named &memories)
        : primitive_(primitive), memories_(memories) {
        for (const auto &item : memories_)
            arguments_.push_back({item.first, item.second.get()});
    }

    void run(const dnnl::stream &stream) const {
        dnnl::error::wrap_c_api(
            dnnl_primitive_execute(
                primitive_.get(), stream.get(), int(arguments_.size()), arguments_.data()),
            "a primitive failed");
    }

private:
    dnnl::primitive primitive_;
    Named memories_;
    std::vector<dnnl_exec_arg_t> arguments_;
};

using Works = std::vector<Work>;

void run(const Works &works, dnnl::stream &stream) {
    for (const Work &work : works)
        work.run(stream);
    stream.wait();
}

template <class Primitive, class... Descriptions>
auto forward_of(const dnnl::engine &engine, const Descriptions &...descriptions) {
#if DNNL_VERSION_MAJOR < 3
    using desc = typename Primitive::desc;
    return typename Primitive::primitive_desc(desc(descriptions...), engine);
#else
    return typename Primitive::primitive_desc(engine, descriptions...);
#endif
}

template <class Primitive, class Forward, class... Descriptions>
auto backward_of(
    const dnnl::engine &engine, const Forward &forward, const Descriptions &...descriptions) {
#if DNNL_VERSION_MAJOR < 3
    using desc = typename Primitive::desc;
    return typename Primitive::primitive_desc(desc(descriptions...), engine, forward);
#else
    return typename Primitive::primitive_desc(engine, descriptions..., forward);
#endif
}

/// Both passes of the layer; `backward` is empty unless gradients are asked for.
struct Passes {
    dnnl::primitive_desc_base forward, backward;
};

class Network {
public:
    Network(const Sizes &sizes, const Arrays &arrays) : sizes_(sizes), arrays_(arrays) {
        const Passes passes = described();
        memory w_ih = given(weights(sizes.D, tag::ldgoi), arrays.w_ih);
        memory w_hh = given(weights(sizes.H, tag::ldgoi), arrays.w_hh);
        const memory h = zeros(states(sizes.H));
        h_ = last(h);
        Named passed = {
            {DNNL_ARG_SRC_LAYER, given(states(sizes.D), arrays.x)},
            {DNNL_ARG_BIAS, given(biases(), arrays.bias)},
            {DNNL_ARG_DST_LAYER, h}};
        for (memory &state : states_)
            state = zeros(start());
        if (sizes.task == TRAIN)
            passed.push_back({DNNL_ARG_WORKSPACE, zeros(of(passes.forward, DNNL_ARG_WORKSPACE))});
        Works reorders;
        const memory f_ih = reordered(passes.forward, DNNL_ARG_WEIGHTS_LAYER, w_ih, reorders);
        const memory f_hh = reordered(passes.forward, DNNL_ARG_WEIGHTS_ITER, w_hh, reorders);
        if (sizes.own_formats) {
            run(reorders, stream_);
            w_ih = f_ih, w_hh = f_hh;
        } else {
            before_head_ = reorders;
        }
        before_head_.push_back(layer(passes.forward, started(passed, 0), f_ih, f_hh));
        if (sizes.task == STEP)
            after_step_.push_back(layer(passes.forward, started(passed, 1), f_ih, f_hh));
        if (sizes.task == TRAIN)
            prepare_backward(passes.backward, started(passed, 0), w_ih, w_hh);
    }

    /// The logits.
    void forward() { forward(before_head_); }

    void forward(const Works &works) {
        run(works, stream_);
        const int H = sizes_.H;
        for (int b = 0; b < sizes_.B; b++) {
            float z = arrays_.b_y[0];
            for (int j = 0; j < H; j++)
                z += arrays_.w_y[j] * h_[b * H + j];
            arrays_.z[b] = z;
        }
    }

    /// The mean binary cross-entropy; its gradients are left in the arrays.
    float train() {
        forward();
        const int H = sizes_.H, B = sizes_.B;
        std::fill_n(arrays_.g_y, H, 0.0f);
        float loss = 0, sum = 0;
        for (int b = 0; b < B; b++) {
            const float z = arrays_.z[b], y = arrays_.y[b], e = std::exp(-std::fabs(z));
            loss += std::log1p(e) + std::max(z, 0.0f) - y * z;
            const float dz = ((z >= 0 ? 1 : e) / (1 + e) - y) / float(B);
            sum += dz;
            for (int j = 0; j < H; j++) {
                arrays_.g_y[j] += dz * h_[b * H + j];
                dh_[b * H + j] = dz * arrays_.w_y[j];
            }
        }
        arrays_.g_by[0] = sum;
        for (const memory &sums : sums_) // to which the primitive adds
            std::memset(sums.get_data_handle(), 0, sums.get_desc().get_size());
        run(after_head_, stream_);
        return loss / float(B);
    }

    /// The logit after one more step of a stream, which begins anew where `first`.
    float step(const float *x, bool first) {
        std::copy_n(x, sizes_.D, arrays_.x);
        if (first) {
            for (const memory &state : states_)
                std::memset(state.get_data_handle(), 0, state.get_desc().get_size());
            steps_ = 0;
        }
        forward(steps_++ % 2 ? after_step_ : before_head_);
        return arrays_.z[0];
    }

    /// Puts gradients that are in formats of oneDNN's own into the arrays.
    void read() { run(when_read_, stream_); }

private:
    memory::desc weights(int inputs, tag format) const {
        const int gates = sizes_.cell == RNN ? 1 : sizes_.cell == LSTM ? 4 : 3;
        return {{1, 1, inputs, gates, sizes_.H}, memory::data_type::f32, format};
    }

    memory::desc biases() const {
        const int rows = sizes_.cell == RNN ? 1 : 4; // the GRU's candidate has two of them
        return {{1, 1, rows, sizes_.H}, memory::data_type::f32, tag::ldgo};
    }

    memory::desc start() const {
        return {{1, 1, sizes_.B, sizes_.H}, memory::data_type::f32, tag::ldnc};
    }

    memory::desc states(int features) const {
        return {{sizes_.T, sizes_.B, features}, memory::data_type::f32, tag::tnc};
    }

    Passes described() const {
        const bool train = sizes_.task == TRAIN;
        const auto mode
            = train ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
        const auto back = dnnl::prop_kind::backward;
        const auto way = dnnl::rnn_direction::unidirectional_left2right;
        const auto tanh = dnnl::algorithm::eltwise_tanh;
        const memory::desc x = states(sizes_.D), h = states(sizes_.H), h0 = start();
        const memory::desc b = biases(), end = sizes_.task == STEP ? start() : memory::desc();
        const memory::desc w_x = weights(sizes_.D, tag::any), w_h = weights(sizes_.H, tag::any);
        Passes made;
        if (sizes_.cell == RNN) {
            const auto pass = forward_of<dnnl::vanilla_rnn_forward>(
                engine_, mode, tanh, way, x, h0, w_x, w_h, b, h, end);
            made.forward = pass;
            if (train)
                made.backward = backward_of<dnnl::vanilla_rnn_backward>(
                    engine_, pass, back, tanh, way, x, h0, w_x, w_h, b, h, end, x, h0, w_x,
                    w_h, b, h, end);
        } else if (sizes_.cell == LSTM) {
            const auto pass = forward_of<dnnl::lstm_forward>(
                engine_, mode, way, x, h0, h0, w_x, w_h, b, h, end, end);
            made.forward = pass;
            if (train)
                made.backward = backward_of<dnnl::lstm_backward>(
                    engine_, pass, back, way, x, h0, h0, w_x, w_h, b, h, end, end, x, h0,
                    h0, w_x, w_h, b, h, end, end);
        } else {
            const auto pass = forward_of<dnnl::lbr_gru_forward>(
                engine_, mode, way, x, h0, w_x, w_h, b, h, end);
            made.forward = pass;
            if (train)
                made.backward = backward_of<dnnl::lbr_gru_backward>(
                    engine_, pass, back, way, x, h0, w_x, w_h, b, h, end, x, h0, w_x, w_h, b,
                    h, end);
        }
        return made;
    }

    void prepare_backward(
        const dnnl::primitive_desc_base &pass, Named passed, const memory &w_ih,
        const memory &w_hh) {
        const memory dh = zeros(states(sizes_.H)); // but for the last step
        dh_ = last(dh);
        passed.push_back({DNNL_ARG_DIFF_DST_LAYER, dh});
        std::vector<int> unread = {DNNL_ARG_DIFF_SRC_LAYER, DNNL_ARG_DIFF_SRC_ITER};
        if (sizes_.cell == LSTM)
            unread.push_back(DNNL_ARG_DIFF_SRC_ITER_C);
        for (int argument : unread)
            passed.push_back({argument, zeros(of(pass, argument))});
        Works reorders;
        const Named gradients = {
            {DNNL_ARG_DIFF_WEIGHTS_LAYER, given(weights(sizes_.D, tag::ldgoi), arrays_.g_ih)},
            {DNNL_ARG_DIFF_WEIGHTS_ITER, given(weights(sizes_.H, tag::ldgoi), arrays_.g_hh)},
            {DNNL_ARG_DIFF_BIAS, given(biases(), arrays_.g_bias)}};
        for (const auto &gradient : gradients)
            passed.push_back(
                {gradient.first, sums(pass, gradient.first, gradient.second, reorders)});
        const memory b_ih = reordered(pass, DNNL_ARG_WEIGHTS_LAYER, w_ih, after_head_);
        const memory b_hh = reordered(pass, DNNL_ARG_WEIGHTS_ITER, w_hh, after_head_);
        after_head_.push_back(layer(pass, passed, b_ih, b_hh));
        Works &place = sizes_.own_formats ? when_read_ : after_head_;
        place.insert(place.end(), reorders.begin(), reorders.end());
    }

    memory given(const memory::desc &desc, float *values) const {
        return memory(desc, engine_, values);
    }

    memory zeros(const memory::desc &desc) const {
        const memory made(desc, engine_);
        std::memset(made.get_data_handle(), 0, desc.get_size());
        return made;
    }

    static memory::desc of(const dnnl::primitive_desc_base &pass, int argument) {
        return pass.query_md(dnnl::query::exec_arg_md, argument);
    }

    /// Of the last step.
    float *last(const memory &states) const {
        return static_cast<float *>(states.get_data_handle())
            + std::size_t(sizes_.T - 1) * sizes_.B * sizes_.H;
    }

    /// What is passed, with the states before the step or sequence, and of streams those after it.
    /// oneDNN 2.6 takes zeros if it is given none, but its gradient of w_hh is wrong then.
    Named started(Named passed, int from) const {
        const bool has_c = sizes_.cell == LSTM;
        passed.push_back({DNNL_ARG_SRC_ITER, states_[from]});
        if (has_c)
            passed.push_back({DNNL_ARG_SRC_ITER_C, states_[2 + from]});
        if (sizes_.task != STEP)
            return passed;
        passed.push_back({DNNL_ARG_DST_ITER, states_[1 - from]});
        if (has_c)
            passed.push_back({DNNL_ARG_DST_ITER_C, states_[3 - from]});
        return passed;
    }

    static Work layer(
        const dnnl::primitive_desc_base &pass, Named passed, const memory &w_ih,
        const memory &w_hh) {
        passed.push_back({DNNL_ARG_WEIGHTS_LAYER, w_ih});
        passed.push_back({DNNL_ARG_WEIGHTS_ITER, w_hh});
        return Work(dnnl::primitive(pass.get()), passed);
    }

    /// In the format that the pass wants.
    memory reordered(
        const dnnl::primitive_desc_base &pass, int argument, const memory &from,
        Works &reorders) const {
        const memory::desc wanted = of(pass, argument);
        if (wanted == from.get_desc())
            return from;
        const memory to = zeros(wanted);
        reorders.push_back(reorder(from, to));
        return to;
    }

    /// Where the pass adds up a gradient that ends in `to`.
    memory sums(
        const dnnl::primitive_desc_base &pass, int argument, const memory &to, Works &reorders) {
        const memory::desc wanted = of(pass, argument);
        const bool there = wanted == to.get_desc();
        sums_.push_back(there ? to : zeros(wanted));
        if (!there)
            reorders.push_back(reorder(sums_.back(), to));
        return sums_.back();
    }

    static Work reorder(const memory &from, const memory &to) {
        return Work(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
    }

    const Sizes sizes_;
    const Arrays arrays_;
    const dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    Works before_head_, after_step_, after_head_, when_read_;
    std::vector<memory> sums_;
    memory states_[4]; // h before every second step and before those between; c likewise
    int steps_ = 0;
    float *h_ = nullptr, *dh_ = nullptr; // of the last step, (B, H)
};

} // namespace

extern "C" {

void onednn_version(int numbers[3]) {
    const dnnl_version_t *version = dnnl_version();
    numbers[0] = version->major, numbers[1] = version->minor, numbers[2] = version->patch;
}

/// Null if oneDNN refuses; then `why` says what it said.
void *onednn_make(const Sizes *sizes, const Arrays *arrays, char *why, int room) {
    try {
        return new Network(*sizes, *arrays);
    } catch (const std::exception &error) {
        std::strncpy(why, error.what(), std::size_t(room) - 1);
        return nullptr;
    }
}

void onednn_free(void *network) { delete static_cast<Network *>(network); }

void onednn_forward(void *network) { static_cast<Network *>(network)->forward(); }

float onednn_train(void *network) { return static_cast<Network *>(network)->train(); }

float onednn_step(void *network, const float *x, int first) {
    return static_cast<Network *>(network)->step(x, first != 0);
}

void onednn_read(void *network) { static_cast<Network *>(network)->read(); }
}
