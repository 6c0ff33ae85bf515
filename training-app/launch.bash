#!/usr/bin/env -S bash #
# Train one visitor's LoRA, hand it to the server, leave nothing behind:  bash launch.bash CODE
# In the environment: MODEL (folder or Hub id), SERVER_URL and CALLBACK_TOKEN for post-back.py, and any of the
# variables that have a default in train() below. With KEEP_INTERRUPTED set, a training that a signal ended
# leaves its files and sends nothing to the server; started again, it goes on from its last checkpoint.
# With CHOOSE_CHECKPOINT and SAMPLE_EVERY_N_STEPS set, the checkpoint that paints the visitor best is taken.
# The next line keeps the file working with CRLF line ends.
# shellcheck disable=SC2329  # run and trap call the functions
[[ ${BASH_SOURCE[0]-} && $(head -n 1 -- "$0") == *$'\r' ]] && exec bash -c "$(tr -d '\r' <"$0")" "$0" "$@" #
set -u

# The training: this command line is the one place where it is configured.
# setpriv (Linux): the kernel ends the training if this shell is killed.
train() {
    local gamma=${MIN_SNR_GAMMA-5} # empty: every noise level counts as it does in the model's own loss
    exec ${setpriv:+"$setpriv" --pdeathsig TERM --} "$python" "$here/../kohya-scripts/train_network.py" \
        --pretrained_model_name_or_path "${MODEL:?is not set: a model folder or Hub id}" \
        ${MODEL_REVISION:+--revision "$MODEL_REVISION"} \
        --train_data_dir "$input" --caption_extension .txt \
        --output_dir "$output" --output_name "$code" \
        --network_module networks.lora \
        --network_dim "${NETWORK_DIM:-32}" --network_alpha "${NETWORK_ALPHA:-16}" \
        --resolution "${RESOLUTION:-512,512}" --enable_bucket --bucket_no_upscale --cache_latents \
        ${ALPHA_MASK:+--alpha_mask} \
        --train_batch_size "${TRAIN_BATCH_SIZE:-1}" --max_train_steps "${MAX_TRAIN_STEPS:-1500}" \
        --unet_lr "${UNET_LR:-1e-4}" --text_encoder_lr "${TEXT_ENCODER_LR:-5e-5}" \
        --lr_scheduler "${LR_SCHEDULER:-cosine}" --optimizer_type AdamW \
        ${gamma:+--min_snr_gamma "$gamma"} ${DEBIASED_ESTIMATION_LOSS:+--debiased_estimation_loss} --seed "${SEED:-42}" \
        --mixed_precision "${MIXED_PRECISION:-fp16}" --sdpa \
        --save_model_as safetensors --save_precision "${SAVE_PRECISION:-fp16}" \
        --save_every_n_steps "${SAVE_EVERY_N_STEPS:-100}" --save_state --save_last_n_steps_state 1 \
        ${SAMPLE_EVERY_N_STEPS:+--sample_every_n_steps "$SAMPLE_EVERY_N_STEPS"} \
        ${SAMPLE_EVERY_N_STEPS:+--sample_prompts "$output/prompts.txt"} \
        ${checkpoint:+--resume "$checkpoint"}
}

# Of the checkpoints with sample pictures, the one whose faces are nearest to the photos becomes the LoRA.
choose() {
    exec "$python" "$here/choose-checkpoint.py" "$output" "$code" "$input"
}

post_back() {
    exec "$python" "$here/post-back.py" "$code" "$@"
}

# Runs a function in the background and waits for it: bash puts off a trap until its foreground child ends.
run() {
    "$@" &
    child=$!
    wait "$child"
    local status=$?
    child=
    return "$status"
}

# A signal ends the running child; the EXIT trap below cleans up.
stop() {
    trap '' TERM INT HUP
    if [[ $child ]]; then
        kill -TERM "$child" 2>/dev/null
        wait "$child"
    fi
    exit "$1"
}

# After a signal (status 128 + its number), another run may go on from these files.
clean_up() {
    if [[ -z ${KEEP_INTERRUPTED:-} ]] || (($1 < 128)); then
        rm -rf -- "$input" "$output"
    fi
}

if [[ $# -ne 1 || ! $1 =~ ^[0123456789]{8}$ ]]; then
    echo "usage: launch.bash CODE, and CODE is 8 digits" >&2
    exit 2
fi
code=$1
child=
python=${PYTHON:-python3}
setpriv=$(type -P setpriv)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
app=${TRAINING_APP_DIR:-$here}
input=$app/training-input/$code
output=$app/training-output/$code
log=$output/training.log

trap 'clean_up $?' EXIT
trap 'stop 143' TERM
trap 'stop 130' INT
trap 'stop 129' HUP
mkdir -p -- "$output" || exit 1

# An interrupted run left its newest whole checkpoint (kohya's own trainer calls its file train_state.json),
# and a pipe and unfinished files, which are of no use any more.
checkpoint=
for state in "$output/$code"-step*-state; do
    [[ -s $state/state.pt || -s $state/train_state.json ]] && checkpoint=$state
done
rm -f -- "$output/stderr" "$output"/*.part "$output"/*/*.part

# The sample pictures show a waiting visitor the face, as far as it is learned.
for noise in 0 ${CHOOSE_CHECKPOINT:+1}; do # the second picture only serves to compare checkpoints
    printf '%s --d %d\n' "${SAMPLE_PROMPT:-face of sks person}" "$noise"
done >"$output/prompts.txt" || exit 1

# stderr goes on to ours, and to a file for its last line: the reason, if the training fails.
mkfifo -- "$output/stderr" || exit 1
tee -- "$log" <"$output/stderr" >&2 &
tee=$!
if [[ -s $output/$code.safetensors ]]; then
    status=0 # trained before, but not delivered
    : >"$output/stderr"
else
    run train 2>"$output/stderr"
    status=$?
fi
wait "$tee"

if ((status == 0)) && [[ -s $output/$code.safetensors ]]; then
    if [[ ${CHOOSE_CHECKPOINT:-} && ! -e $output/likeness.json ]]; then
        run choose || echo "the checkpoints could not be compared: the last one is taken" >&2
    fi
    run post_back --lora "$output/$code.safetensors" --likeness "$output/likeness.json"
    exit
fi

if ((status == 137)); then
    reason="the training was killed (signal 9): is there enough memory?"
elif ((status > 128)); then
    reason="the training was ended by signal $((status - 128))"
else
    reason=$(tail -n 1 -- "$log")
    reason=${reason:-the training ended with status $status and said nothing}
fi
if [[ ${KEEP_INTERRUPTED:-} ]] && ((status > 128)); then
    echo "$reason" >&2
    exit "$status"
fi
run post_back --error "$reason"
exit 1
