/** @file
 * l2o: an engine that learns optimizers. The C interface.
 *
 * Conventions that apply to all functions:
 *
 * Status     Every function that can fail returns l2o_status; L2O_OK is 0. l2o_last_error_message()
 *            returns the message of the last failure on the calling thread. A function that fails changes
 *            nothing, sets its outputs to NULL or leaves them alone, and can be called again. No function
 *            throws, exits or aborts.
 * Handles    Opaque, not pointers: a handle that was destroyed or is of another kind is recognized and
 *            rejected with L2O_INVALID_ARGUMENT. Callers destroy the handles they create; destroying NULL
 *            is allowed. A handle keeps alive what it was made from, so any order of destruction is fine.
 * Threads    A context, and every run, optimizee and trainer made in it, is used by one thread at a time:
 *            a call made while another is inside the same context is rejected with L2O_BUSY, and so is
 *            a call that a callback makes into the context it was called from. An optimizer may be
 *            shared by any number of threads, contexts and runs. Contexts are independent of each
 *            other: for parallel runs, give each thread its own.
 * Memory     "Context memory" is host memory for a CPU context and device memory for a CUDA context, which
 *            is why a context is on the CPU unless its options say otherwise. All tensors are dense
 *            float32. Pointers are only read or written during the call (CPU) or in stream order (CUDA);
 *            float alignment is enough. A buffer that a call writes must not overlap any other buffer of
 *            that call; a step with such buffers is rejected.
 * Streams    Work of a CUDA context is queued on the caller's stream and not waited for, unless a function
 *            returns a number to the host; l2o_context_synchronize waits. The work of a CPU context is done
 *            when the call returns. The thread's current CUDA device is restored after a call.
 * Sizes      n is the number of coordinates: the parameters of the function being optimized. S is the
 *            number of state values per coordinate (l2o_optimizer_state_size), P the number of
 *            meta-parameters (l2o_optimizer_meta_parameter_count). n = 0 is a no-op.
 * Floats     Results do not depend on the calling thread's floating-point mode (rounding, flushing of
 *            denormals, traps), which is restored after a call. Callbacks run in the default mode.
 * Options    An option struct is filled by its _init function before use; its first member is its size,
 *            so that later versions may append members.
 * Versions   Values of enumerations never change. A new minor version only adds.
 */
#ifndef L2O_L2O_H_
#define L2O_L2O_H_

#include <stddef.h>
#include <stdint.h>

/** Marks what the shared library exports. */
#if defined(_WIN32) || !defined(__GNUC__)
#define L2O_API
#else
#define L2O_API __attribute__((visibility("default")))
#endif

/** Enumerations are as wide as int in C and in C++. */
#ifdef __cplusplus
#define L2O_ENUM(name) enum name : int
extern "C" {
#else
#define L2O_ENUM(name) enum name
#endif

#define L2O_VERSION_MAJOR 0 /**< of this header; l2o_version() has the library's */
#define L2O_VERSION_MINOR 1 /**< see L2O_VERSION_MAJOR */
#define L2O_VERSION_PATCH 0 /**< see L2O_VERSION_MAJOR */

/** The result of a call. */
typedef L2O_ENUM(l2o_status) {
  L2O_OK = 0,
  L2O_FAILURE = 1,             /**< anything without its own status */
  L2O_INVALID_ARGUMENT = 2,    /**< a wrong argument or configuration key */
  L2O_BAD_DATA = 65,           /**< a damaged or unsuitable file */
  L2O_DEVICE_UNAVAILABLE = 69, /**< the requested device is not available */
  L2O_INTERNAL = 70,           /**< a broken invariant: a bug in l2o */
  L2O_OUT_OF_MEMORY = 71,
  L2O_INPUT_OUTPUT = 74,       /**< the system could not read or write */
  L2O_DIVERGED = 76,           /**< meta-training: too many non-finite losses in a row */
  L2O_BUSY = 80,               /**< another call is inside this context */
  L2O_NOT_FINITE = 81,         /**< a non-finite gradient, or one that would make phi non-finite */
  L2O_INTERRUPTED = 130        /**< l2o_context_options.is_interrupted returned nonzero */
} l2o_status;

/** Where a context works. */
typedef L2O_ENUM(l2o_backend) {
  L2O_BACKEND_AUTO = 0, /**< CUDA if l2o_backend_available reports it, else the CPU */
  L2O_BACKEND_CPU = 1,
  L2O_BACKEND_CUDA = 2
} l2o_backend;

/** Precision of the learned rule on tensor cores (docs/performance.md); a CPU always uses f32. */
typedef L2O_ENUM(l2o_precision) {
  L2O_PRECISION_MIXED = 0, /**< h in float16, c in float32 */
  L2O_PRECISION_F32 = 1,   /**< nearly float32 throughout */
  L2O_PRECISION_HALF = 2   /**< h and c in float16 */
} l2o_precision;

typedef struct l2o_context l2o_context;     /**< a device, its worker threads, an ordered stream */
typedef struct l2o_optimizer l2o_optimizer; /**< a learned update rule: its shape and phi */
typedef struct l2o_run l2o_run;             /**< an optimizer applied to n coordinates: their state */
typedef struct l2o_optimizee l2o_optimizee; /**< functions to train on: a batch of tasks */
typedef struct l2o_trainer l2o_trainer;     /**< meta-training in progress */

/* ------------------------------------------------------------------------------------- library */

/** "major.minor.patch" of the library at run time. */
L2O_API const char* l2o_version(void);
/** The name of a status, e.g. "L2O_BAD_DATA"; "unknown status" for other values. */
L2O_API const char* l2o_status_name(l2o_status status);
/** At most 2047 bytes of the last failure's message on this thread, or "". Valid until the next call. */
L2O_API const char* l2o_last_error_message(void);
/** 1 if this build and machine can create a context of that backend, else 0. */
L2O_API int l2o_backend_available(l2o_backend backend);

/* ------------------------------------------------------------------------------------- context */

/** Options of l2o_context_create. */
typedef struct l2o_context_options {
  size_t size;         /**< set by l2o_context_options_init */
  l2o_backend backend; /**< default L2O_BACKEND_CPU */
  int device;          /**< CUDA only: the device's number, default 0 */
  int threads;         /**< CPU worker threads; default 0: one per available core */
  void* stream;        /**< CUDA only: the caller's cudaStream_t, which must outlive the context;
                            cudaStreamLegacy is the default stream. Default NULL: its own stream, which
                            only l2o_context_synchronize orders with the caller's work */
  l2o_precision precision; /**< of the learned rule on tensor cores; default L2O_PRECISION_MIXED */
  size_t memory_limit;     /**< bytes that the context may use; default 0: all memory */
  /** Called about ten times a second, on the calling thread, during l2o_trainer_step, l2o_evaluate and, on a
   * CPU, l2o_meta_gradient; nonzero makes them fail with L2O_INTERRUPTED. Default NULL: never called. */
  int (*is_interrupted)(void* user);
  void* user; /**< passed to it */
} l2o_context_options;

/** Sets the defaults, for a program whose l2o_context_options has `size` bytes: see below. */
L2O_API void l2o_context_options_init_sized(l2o_context_options* options, size_t size);
/** Sets the defaults. The function writes the version 0.1 layout of the struct, for programs compiled
 * against it; in programs compiled with this header the name refers to the function above. */
L2O_API void l2o_context_options_init(l2o_context_options* options);
#define l2o_context_options_init(options) \
  l2o_context_options_init_sized((options), sizeof(l2o_context_options))
/** Creates a context. options may be NULL: the defaults. */
L2O_API l2o_status l2o_context_create(const l2o_context_options* options, l2o_context** context);
/** Waits for all work of the context. */
L2O_API l2o_status l2o_context_synchronize(l2o_context* context);
/** The context is freed when the last object that was made in it is destroyed. */
L2O_API void l2o_context_destroy(l2o_context* context);

/* ----------------------------------------------------------------------------------- optimizer */

/** Creates an untrained optimizer. config: TOML with the keys of the [optimizer] table of a training
 * configuration (docs/config.md) and optionally seed; "" or NULL: the defaults, seed 1. */
L2O_API l2o_status l2o_optimizer_create(const char* config, l2o_optimizer** optimizer);
/** Loads the rule of a model file (safetensors, docs/math.md section 4); L2O_INVALID_ARGUMENT, naming the
 * rules, if the model has several. */
L2O_API l2o_status l2o_optimizer_load(const char* path, l2o_optimizer** optimizer);
/** Loads one rule of a model that has several, each for a group of parameters; l2o info lists them. */
L2O_API l2o_status l2o_optimizer_load_rule(const char* path, const char* rule,
                                           l2o_optimizer** optimizer);
/** Writes a model file atomically: a reader never sees a partial one. Fails with an error, never a signal.
 * A model that was loaded keeps the configuration it was trained on only until its phi is set or updated. */
L2O_API l2o_status l2o_optimizer_save(const l2o_optimizer* optimizer, const char* path);
/** Destroys the optimizer. Runs that use it continue. */
L2O_API void l2o_optimizer_destroy(l2o_optimizer* optimizer);

/** Its settings in one line, "layers = 1, hidden = 20, preprocessing = adam_moments, ...": two optimizers
 * with the same line and the same phi are the same rule. Valid while the handle is; "" on failure. */
L2O_API const char* l2o_optimizer_description(const l2o_optimizer* optimizer);
/** P; 0 for NULL. */
L2O_API size_t l2o_optimizer_meta_parameter_count(const l2o_optimizer* optimizer);
/** S; 0 for NULL. For an LSTM, 2 * layers * hidden: per layer all h, then all c. */
L2O_API size_t l2o_optimizer_state_size(const l2o_optimizer* optimizer);
/** Copies phi to host memory, values [count], count = P, all finite. The order is that of the model
 * file's tensors: input_projection.weight [D, in] and bias [D] if there is one; per layer weight_ih
 * [4H, in], weight_hh [4H, H], bias [4H] (the sum of bias_ih and bias_hh); linear.weight [outputs, H or in]
 * and bias [outputs]. Row-major, gates i, f, g, o. Runs keep the phi they started with until a reset. */
L2O_API l2o_status l2o_optimizer_get_meta_parameters(const l2o_optimizer* optimizer, float* values,
                                                     size_t count);
/** Replaces phi, in the same order. The moments of l2o_optimizer_apply_meta_gradient are kept. */
L2O_API l2o_status l2o_optimizer_set_meta_parameters(l2o_optimizer* optimizer, const float* values,
                                                     size_t count);

/* --------------------------------------------------------------------------- run: using a model */

/** How to treat a gradient with infinite or NaN elements. Except under L2O_NAN_PROPAGATE the state stays
 * finite. On a CUDA context the first two policies wait for the gradient at every step. */
typedef L2O_ENUM(l2o_nan_policy) {
  L2O_NAN_SKIP_STEP = 0, /**< the whole step is skipped and counted; the default */
  L2O_NAN_ERROR = 1,     /**< L2O_NOT_FINITE; nothing changes */
  L2O_NAN_ZERO = 2,      /**< such elements count as 0 */
  L2O_NAN_PROPAGATE = 3  /**< they are used unchanged: state and parameters may become NaN */
} l2o_nan_policy;

/** Creates a run over one tensor of n parameters, with a zero state. */
L2O_API l2o_status l2o_run_create(l2o_context* context, const l2o_optimizer* optimizer, size_t n,
                                  l2o_run** run);
/** Creates a run over `count` tensors of sizes[i] parameters each. */
L2O_API l2o_status l2o_run_create_multi(l2o_context* context, const l2o_optimizer* optimizer,
                                        size_t count, const size_t* sizes, l2o_run** run);
/** parameters += update(gradient), scaled as set by l2o_run_set_scales: both [n] in context memory. For
 * a run over several tensors, n is the sum of their sizes and the tensors are contiguous. */
L2O_API l2o_status l2o_run_step(l2o_run* run, const float* gradient, float* parameters);
/** The same for separate tensors: gradients[i] and parameters[i] have sizes[i] elements. The two
 * arrays of `count` pointers are in host memory; count is that of l2o_run_create_multi. */
L2O_API l2o_status l2o_run_step_multi(l2o_run* run, size_t count, const float* const* gradients,
                                      float* const* parameters);
/** From the next step on:
 *   parameters += update_scale * (update(gradient_scale * gradient) - weight_decay * parameters).
 * update_scale    called a learning rate elsewhere, but here a factor on what the rule has learned;
 *                 initially 1. At 0 only the state advances.
 * gradient_scale  brings gradients to the magnitudes that the rule was trained on: above 0; initially 1.
 * weight_decay    decoupled from the gradient, as in AdamW; initially 0.
 * All are finite and non-negative. Cheap enough to call before each step, for a schedule, so they are not
 * options of l2o_run_create. l2o_run_reset keeps them, and the state does not contain them. */
L2O_API l2o_status l2o_run_set_scales(l2o_run* run, float update_scale, float gradient_scale,
                                      float weight_decay);
/** Sets the state to zero and takes the optimizer's current phi. */
L2O_API l2o_status l2o_run_reset(l2o_run* run);
/** The number of state values: S * n; 0 for NULL. */
L2O_API size_t l2o_run_state_size(const l2o_run* run);
/** Copies the state to host memory, values [S, n], count = S * n: for checkpoints. Waits. A state that is
 * set must be finite, except under L2O_NAN_PROPAGATE. */
L2O_API l2o_status l2o_run_get_state(l2o_run* run, float* values, size_t count);
/** Continues from a state that l2o_run_get_state returned for any run with as many coordinates. */
L2O_API l2o_status l2o_run_set_state(l2o_run* run, const float* values, size_t count);
/** Applies from the next step on. L2O_NAN_ZERO allocates memory for the largest tensor. */
L2O_API l2o_status l2o_run_set_nan_policy(l2o_run* run, l2o_nan_policy policy);
/** Steps skipped so far under L2O_NAN_SKIP_STEP. */
L2O_API l2o_status l2o_run_skipped_steps(l2o_run* run, uint64_t* steps);
/** Frees the state. */
L2O_API void l2o_run_destroy(l2o_run* run);

/* ------------------------------------------------------- step: a run whose state the caller owns */

/** One tensor of parameters and everything that belongs to it, in context memory. None of it may overlap
 * what another part of the call writes. */
typedef struct l2o_tensor {
  size_t n;              /**< parameters */
  const float* gradient; /**< [n] */
  float* parameters;     /**< [n], in place */
  void* state;           /**< [l2o_state_bytes(context, optimizer, n)], in place, aligned to 64 bytes;
                              zeros before the first step */
} l2o_tensor;

/** Options of l2o_step; see l2o_run_set_scales and l2o_nan_policy. */
typedef struct l2o_step_options {
  size_t size;               /**< set by l2o_step_options_init */
  float update_scale;        /**< default 1 */
  float gradient_scale;      /**< default 1 */
  float weight_decay;        /**< default 0 */
  int maximize;              /**< nonzero: ascend, i.e. negate the gradients; default 0 */
  l2o_nan_policy nan_policy; /**< default L2O_NAN_SKIP_STEP */
  uint64_t* skipped_steps;   /**< in host memory, incremented when L2O_NAN_SKIP_STEP skips the step;
                                  default NULL */
} l2o_step_options;

/** Sets the defaults. */
L2O_API void l2o_step_options_init(l2o_step_options* options);
/** Bytes of state of a tensor of n parameters; 0 for n = 0 and on failure. The bytes may be copied and
 * saved, and used in any context on the same kind of device at the same precision. Their layout on a
 * CPU, and on a GPU at L2O_PRECISION_F32, is float32 [ceil(n / 32)][S][32]. */
L2O_API size_t l2o_state_bytes(l2o_context* context, const l2o_optimizer* optimizer, size_t n);
/** l2o_run_step on `count` tensors, with the current phi of the optimizer. options may be NULL: the
 * defaults. One call or several on the same tensors give the same bits. Under L2O_NAN_ZERO and
 * L2O_NAN_PROPAGATE nothing waits, and from the second call with tensors of these sizes on, no context
 * memory is allocated. */
L2O_API l2o_status l2o_step(l2o_context* context, const l2o_optimizer* optimizer, size_t count,
                            const l2o_tensor* tensors, const l2o_step_options* options);

/* ------------------------------------------------- meta-gradient: training on what only you can run */

/** d sum_{t=0..T} w[t] f(theta[t]) / d phi along an unroll of T steps of `optimizer` from start_state,
 * T = unroll_length; gradients are constants ("solid edges", docs/math.md). The steps must have used the
 * initial scales of a run. Waits.
 *   trace          [T+1, n] context memory: d f / d theta at theta[0..T]
 *   weights        [T+1]    host memory: w[0..T]
 *   start_state    [S, n]   host memory, or NULL for a zero state
 *   meta_gradient  [P]      host memory, overwritten */
L2O_API l2o_status l2o_meta_gradient(l2o_context* context, const l2o_optimizer* optimizer, size_t n,
                                     size_t unroll_length, const float* trace, const float* weights,
                                     const float* start_state, float* meta_gradient);
/** One Adam update of phi with meta_gradient [count], count = P, host memory; beta 0.9 and 0.999, epsilon
 * 1e-8, moments kept in the optimizer. L2O_NOT_FINITE if the gradient is not finite or its norm is above
 * 1.8e19, or if phi would become non-finite. */
L2O_API l2o_status l2o_optimizer_apply_meta_gradient(l2o_optimizer* optimizer,
                                                     const float* meta_gradient, size_t count,
                                                     float learning_rate);

/* ----------------------------------------------------------------------------------- optimizee */

/** config: TOML with the keys of a [task] table (docs/config.md): name = "quadratic", ...
 * tasks: B, the number of tasks in a batch. data_directory may be NULL. */
L2O_API l2o_status l2o_optimizee_create(l2o_context* context, const char* config, size_t tasks,
                                        const char* data_directory, l2o_optimizee** optimizee);

/** Data in host memory for a network: rows of inputs, each with a label or with targets, or neither. */
typedef struct l2o_data {
  size_t size;                      /**< set by l2o_data_init */
  size_t rows;                      /**< n */
  size_t height;                    /**< of an image; 1 (default) for other rows */
  size_t width;                     /**< the same */
  size_t channels;                  /**< of an image; for other rows their length */
  const float* inputs;              /**< [rows, height, width, channels], or NULL and */
  const uint8_t* input_bytes;       /**< the same as bytes, which a network reads divided by 255 */
  const int64_t* labels;            /**< [rows], 0 .. classes - 1, or NULL */
  size_t classes;                   /**< at most 65536; 0: the largest label + 1 */
  const float* targets;             /**< [rows, target_size], or NULL */
  size_t target_size;               /**< values of a target; 0 without targets */
} l2o_data;

/** Sets no rows, of one value each. */
L2O_API void l2o_data_init(l2o_data* data);
/** l2o_optimizee_create for a network on the caller's arrays, which are copied. Its `data` is "arrays", the
 * default here; with standardise, the mean and standard deviation are those of these rows.
 * L2O_BAD_DATA for non-finite values, labels out of range, or no rows. */
L2O_API l2o_status l2o_optimizee_create_with_data(l2o_context* context, const char* config, size_t tasks,
                                                  const l2o_data* data, l2o_optimizee** optimizee);

/** Your own objective, as functions of one task or of a whole batch: either all of the first kind or all of
 * the second, the others NULL. Every function returns 0, or nonzero to stop with L2O_FAILURE.
 * Pointers are to context memory; on a CUDA context work must be queued on `stream` (a cudaStream_t).
 * The same seed and number must give the same task in any batch. */
typedef struct l2o_objective {
  size_t size;        /**< set by l2o_objective_init */
  void* user;         /**< passed to every function */
  size_t coordinates; /**< n, parameters of one task */
  /** Draws task number `task` of the stream `seed`. `slot` in [0, tasks) is its place in the batch.
   * May be NULL if all tasks are alike. */
  int (*sample)(void* user, size_t slot, uint64_t seed, uint32_t task);
  /** parameters [n]: theta_0 of the task in `slot`. */
  int (*initial_parameters)(void* user, size_t slot, float* parameters, void* stream);
  /** loss [1] = f(parameters), gradient [n] = d loss / d parameters. `evaluation` counts
   * the evaluations of an episode: a natural choice of minibatch number. */
  int (*value_and_gradient)(void* user, size_t slot, uint32_t evaluation, const float* parameters,
                            float* loss, float* gradient, void* stream);
  /** Draws tasks first_task .. first_task + tasks - 1 of the stream `seed`. May be NULL. */
  int (*sample_batch)(void* user, uint64_t seed, uint32_t first_task, size_t tasks);
  /** parameters [tasks, n]: theta_0 of each. */
  int (*initial_parameters_batch)(void* user, size_t tasks, float* parameters, void* stream);
  /** losses [tasks] and gradients [tasks, n] at parameters [tasks, n]. */
  int (*value_and_gradient_batch)(void* user, uint32_t evaluation, size_t tasks,
                                  const float* parameters, float* losses, float* gradients,
                                  void* stream);
  /** Nonzero: value_and_gradient_batch queues the same work on `stream` each time, whatever the tasks and
   * the evaluation number, so that a CUDA context may record it once and replay it. */
  int is_recordable;
} l2o_objective;

/** Sets all functions to NULL, for a program whose l2o_objective has `size` bytes: see
 * l2o_context_options_init. */
L2O_API void l2o_objective_init_sized(l2o_objective* objective, size_t size);
/** Sets all functions to NULL. */
L2O_API void l2o_objective_init(l2o_objective* objective);
#define l2o_objective_init(objective) l2o_objective_init_sized((objective), sizeof(l2o_objective))
/** Creates a batch of `tasks` tasks; the struct is copied, what `user` points to is not. */
L2O_API l2o_status l2o_optimizee_create_callback(l2o_context* context, const l2o_objective* objective,
                                                 size_t tasks, l2o_optimizee** optimizee);
/** Destroys the optimizee. A trainer that uses it continues. */
L2O_API void l2o_optimizee_destroy(l2o_optimizee* optimizee);

/* ------------------------------------------------------------------------------------- trainer */

/** The result of an episode of meta-training. */
typedef struct l2o_train_report {
  size_t size;              /**< set by l2o_train_report_init */
  int64_t episode;          /**< finished so far */
  int64_t episodes;         /**< of the whole run */
  double meta_loss;         /**< weighted mean of f over the unrolls of the last finished episode */
  double final_loss;        /**< f at its end */
  double learning_rate;     /**< of the meta-optimizer, last used */
  int64_t skipped_updates;  /**< meta-updates skipped because they were not finite */
} l2o_train_report;

/** Sets all values to 0. */
L2O_API void l2o_train_report_init(l2o_train_report* report);
/** config: TOML as for `l2o train` (docs/config.md) without [task], [evaluation] and train.checkpoint_every;
 * train.tasks is the optimizee's. Between two steps the optimizee is free for other use. */
L2O_API l2o_status l2o_trainer_create(l2o_context* context, const char* config,
                                      l2o_optimizee* optimizee, l2o_trainer** trainer);
/** Runs one whole episode; with train.steps = [shortest, longest] or meta_optimizer.member_clip_norm, as
 * many unrolls as an episode of mean length has. train.loss = "log" with several tasks requires a multiple
 * of 32 coordinates. report may be NULL. An episode that fails, because a callback stopped it, is
 * rolled back. L2O_DIVERGED after train.max_skipped_updates skipped meta-updates in a row: that episode
 * counts and is reported. After the last episode of the configuration, further calls continue at the final
 * learning rate. */
L2O_API l2o_status l2o_trainer_step(l2o_trainer* trainer, l2o_train_report* report);
/** Creates a new handle: a copy of the optimizer as trained so far. */
L2O_API l2o_status l2o_trainer_optimizer(l2o_trainer* trainer, l2o_optimizer** optimizer);
/** Writes a training checkpoint; a trainer made with the same config and an equal optimizee (configuration
 * and data; a caller's objective is not compared) resumes from it bitwise. */
L2O_API l2o_status l2o_trainer_save(l2o_trainer* trainer, const char* path);
/** Continues from a training checkpoint: see l2o_trainer_save. */
L2O_API l2o_status l2o_trainer_resume(l2o_trainer* trainer, const char* path);
/** Frees the training state; optimizers obtained from it stay valid. */
L2O_API void l2o_trainer_destroy(l2o_trainer* trainer);

/* ------------------------------------------------------------------------------------ evaluate */

/** Runs `optimizer` for `steps` steps on tasks first_task .. first_task + B - 1 of the stream `seed`.
 * losses [B, steps + 1] host memory, count = B * (steps + 1): the loss curve of each task. */
L2O_API l2o_status l2o_evaluate(l2o_context* context, const l2o_optimizer* optimizer,
                                l2o_optimizee* optimizee, uint64_t seed, uint32_t first_task,
                                size_t steps, float* losses, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* L2O_L2O_H_ */
