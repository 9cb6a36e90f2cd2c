"""Names that other libraries use for losses, optimisers and the like, so that the error for an
unknown name can suggest the one used here."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

#: Argument -> name here -> names elsewhere. Under "" are names of things that do not exist here,
#: even where they resemble a name that does. Names are compared after `normalised`.
SYNONYMS = {
    "loss": {
        "bce": "binary_crossentropy bce_with_logits binary_cross_entropy_with_logits log_loss "
        "logistic sigmoid sigmoid_cross_entropy sigmoid_cross_entropy_with_logits binary",
        "mse": "mean_squared_error mean_square_error squared_error squared l2 least_squares "
        "quadratic regression",
        "cross_entropy": "ce xent categorical_crossentropy sparse_categorical_crossentropy nll "
        "negative_log_likelihood softmax softmax_cross_entropy softmax_cross_entropy_with_logits "
        "multinomial",
        "huber": "smooth_l1",
        "poisson": "poisson_nll",
        "gaussian_nll": "gaussian normal normal_nll heteroscedastic",
        "": "l1 mae mean_absolute_error absolute_error mape msle rmse root_mean_squared_error "
        "log_cosh hinge squared_hinge kl kl_div kld cosine cosine_similarity focal ctc quantile "
        "pinball triplet margin",
    },
    "init": {
        "torch": "pytorch default",
        "glorot": "xavier xavier_uniform xavier_normal glorot_uniform glorot_normal",
        "orthogonal": "orthonormal ortho orth",
        "identity": "eye irnn",
        "": "he he_uniform he_normal kaiming kaiming_uniform kaiming_normal lecun lecun_uniform "
        "lecun_normal uniform normal truncated_normal random zeros zero ones constant sparse "
        "variance_scaling",
    },
    "nonlinearity": {
        "sigmoid": "logistic expit",
        "identity": "linear none",
        "relu": "rectifier rectified_linear",
        "tanh": "hyperbolic_tangent",
        "": "elu selu celu gelu silu swish mish prelu relu6 leaky_relu rrelu log_sigmoid "
        "hard_sigmoid hard_tanh tanhshrink softplus softsign softmax",
    },
    "readout": {
        "last": "many_to_one seq2vec sequence_to_one final final_state end last_step last_hidden",
        "all": "return_sequences many_to_many seq2seq sequence_to_sequence sequence sequences "
        "every every_step each each_step full",
        "before": "before_input previous previous_state prior predictive",
        "": "first mean average max sum pool pooling attention",
    },
    "optimizer": {
        "sgd": "gd gradient_descent stochastic_gradient_descent",
        "momentum": "sgd_momentum sgd_with_momentum sgdm heavy_ball polyak",
        "nesterov": "nag sgd_nesterov nesterov_momentum nesterov_accelerated_gradient",
        "": "rprop adagrad adadelta adamax nadam radam sparse_adam asgd lbfgs ftrl lamb "
        "adafactor muon",
    },
    "argument": {
        "input_size": "input_dim in_features n_features num_features features n_inputs",
        "hidden_size": "units hidden n_units num_units n_hidden num_hidden hidden_units hidden_dim",
        "output_size": "output_dim out_features n_outputs num_outputs n_classes num_classes",
        "nonlinearity": "activation",
        "num_layers": "layers n_layers depth",
        "bias": "use_bias",
        "readout": "return_sequences",
        "loss": "criterion",
        "init": "kernel_initializer initializer weight_init",
        "dtype": "precision",
        "forget_bias": "unit_forget_bias",
        "seed": "random_state rng",
        "": "batch_first return_state stateful proj_size device batch_size lr epochs optimizer",
    },
    "dtype": {"": "float16 bfloat16 half float128 longdouble"},
}

#: What to do where nothing here has that name.
INSTEAD = {
    "loss": "for a loss of your own see net.vjp",
    "init": "for values of your own pass a mapping, or a function of (name, shape, rng)",
    "readout": "net(x).hidden has the states of every step",
    "optimizer": "for updates of your own see net.loss_and_grad",
    "dtype": "the core computes in no other precision",
}


def hint(argument: str, value: str, names: Sequence[str]) -> str:
    """The end of an error message: the name that may be meant, or what to do instead."""
    near = meant(argument, value, names)
    if near:
        return f"; did you mean {near!r}?"
    return f"; {INSTEAD[argument]}" if argument in INSTEAD else ""


def meant(argument: str, value: str, names: Sequence[str]) -> str:
    """The name that may be meant, or "" where none is close."""
    wanted = normalised(value)
    table = {normalised(name): name for name in names}
    for name, others in SYNONYMS.get(argument, {}).items():
        table |= {normalised(other): name for other in others.split()}
    if wanted in table:
        return table[wanted] if table[wanted] in names else ""
    return "".join(get_close_matches(value.lower(), names, n=1, cutoff=0.7))


def normalised(name: str) -> str:
    """The name without what differs between libraries: module, case, punctuation and a final
    "loss". "torch.nn.MSELoss", "mse-loss" and "mse" become the same."""
    last = name.lower().rpartition(".")[2]
    return "".join(filter(str.isalnum, last)).removesuffix("loss")
